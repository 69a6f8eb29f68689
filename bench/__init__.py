"""Programs that answer one question each, as ratios measured side by side in one run. None of them is a test."""
