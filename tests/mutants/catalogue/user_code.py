"""Code of the user's: what it raises, what does not return, and how it is cancelled."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["USER_CODE"]

RUNTIME = "segmenter/runtime/"
SLOT_LOOP = RUNTIME + "slot_loop.py"
HOOKS = RUNTIME + "hooks.py"
WATCHDOG = "segmenter/watchdog.py"
REPORTS = "tests/public_reports/test_what_"
HANDLERS = REPORTS + "handlers_do.py::test_"
OTHERS = REPORTS + "other_user_code_does.py::test_"
DEATHS = REPORTS + "the_death_of_a_process_does.py::test_"
STANDING = REPORTS + "a_standing_process_does.py::test_"
CANCELLED = REPORTS + "cancellation_does.py::test_"

USER_CODE = (
    Mutant(
        "exception that is no Exception, and ends the worker",
        "P6",
        SLOT_LOOP,
        HANDLERS + "whatever_a_handler_raises_is_a_failed_attempt[leave-async function]",
        "except BaseException as raised:",
        "except Exception as raised:",
    ),
    Mutant(
        "StopIteration that a future has to carry",
        "P8",
        RUNTIME + "threads.py",
        HANDLERS + "whatever_a_handler_raises_is_a_failed_attempt[stop_iteration-plain function]",
        "                return None, error\n",
        "                raise\n",
    ),
    Mutant(
        "context variable that is there for the next message",
        "rule 6",
        SLOT_LOOP,
        HANDLERS + "a_context_variable_set_by_a_handler_is_not_there_for_the_next_message[async function-None-1]",
        "copy_context() != self.context:\n                slot.spent = True\n                return False",
        "False:\n                slot.spent = True\n                return False",
    ),
    Mutant(
        "cancellation left behind for the next message",
        "P8",
        SLOT_LOOP,
        HANDLERS + "a_cancellation_left_behind_in_a_task_meets_no_other_message",
        "slot.task.cancelling() or copy_context() != self.context:\n                slot.spent",
        "copy_context() != self.context:\n                slot.spent",
    ),
    Mutant(
        "time limit that runs while a message waits for a thread",
        "rule 6",
        RUNTIME + "slots.py",
        HANDLERS + "a_message_that_waits_for_a_thread_is_not_being_processed",
        "self.started_at if self.call is None else self.call.began_at",
        "self.started_at",
    ),
    Mutant(
        "call that begins though its worker stops",
        "rule 8",
        RUNTIME + "runner.py",
        HANDLERS + "a_message_that_waits_for_a_thread_goes_elsewhere_untried_when_its_worker_stops",
        "drain_timeout_s)\n            crew.recall()\n",
        "drain_timeout_s)\n",
    ),
    Mutant(
        "batch whose first message pays for all",
        "P6",
        SLOT_LOOP,
        HANDLERS + "a_batch_that_fails_costs_none_of_its_messages_an_attempt",
        "        if len(messages) > 1:\n",
        "        if False:\n",
    ),
    Mutant(
        "log handler that ends a worker",
        "P8",
        "segmenter/logs.py",
        HANDLERS + "logging_that_raises_ends_no_worker",
        "        except BaseException:\n            if last",
        "        except LookupError:\n            if last",
    ),
    Mutant(
        "observer that ends a consumer",
        "P8",
        RUNTIME + "observers.py",
        OTHERS + "an_observer_that_raises_changes_nothing[Granted]",
        "except BaseException as error:",
        "except LookupError as error:",
    ),
    Mutant(
        "messages before their on_assigned has succeeded",
        "rule 4",
        HOOKS,
        OTHERS + "a_partition_waits_until_its_on_assigned_has_succeeded[async function]",
        'again = name == "on_assigned" and not holding.draining',
        "again = False",
    ),
    Mutant(
        "hook whose task is not awaited",
        "rule 4",
        HOOKS,
        OTHERS + "whatever_a_hook_returns_is_awaited_before_the_first_message[task_of]",
        "if inspect.isawaitable(result)",
        "if inspect.iscoroutine(result)",
    ),
    Mutant(
        "hook that may hang forever",
        "P8",
        HOOKS,
        OTHERS + "an_on_assigned_that_hangs_is_cancelled_told_and_called_again",
        "await asyncio.wait([running], timeout=self._limit_s)",
        "await asyncio.wait([running])",
    ),
    Mutant(
        "lifespan that is not cut short by a stop",
        "P8",
        RUNTIME + "lifespans.py",
        OTHERS + "a_worker_that_is_stopped_while_its_lifespan_comes_up_ends_at_once",
        "None if task.cancelled() else scope.reschedule(loop.time())",
        "None",
    ),
    Mutant(
        "consumer whose application stops reading, and that keeps its partitions",
        "P8",
        RUNTIME + "delivery.py",
        OTHERS + "a_consumer_whose_application_stops_reading_gives_its_partitions_to_others",
        "return since + self._patience_s",
        "return math.inf",
    ),
    Mutant(
        "consumer that is missed though it was paused",
        "P8",
        RUNTIME + "holdings.py",
        OTHERS + "a_paused_consumer_is_not_missed",
        "            if holding.paused:\n                self._unlist(holding)\n",
        "",
    ),
    Mutant(
        "heart whose end nobody notices",
        "P8",
        RUNTIME + "host.py",
        OTHERS + "a_heart_that_ends_is_told_to_its_consumers",
        "            coroutine.close()\n            failed(error)\n",
        "            coroutine.close()\n",
    ),
    Mutant(
        "consumer that is cancelled and leaves no word",
        "rule 9",
        RUNTIME + "pump.py",
        CANCELLED + "the_end_of_the_event_loop_is_an_orderly_end[memory]",
        "                    self._cancelled()\n",
        "                    self.end(None)\n",
    ),
    Mutant(
        "shutdown that cancels the leaving",
        "rule 9",
        "segmenter/consumer.py",
        CANCELLED + "whoever_is_cancelled_leaves_in_order[while_it_drains]",
        "await all_ended([self._running], on_cancel=self._pump.give_back)",
        "await self._running",
    ),
    Mutant(
        "member left behind by a registration that was cut short",
        "rule 1",
        "segmenter/consumer.py",
        CANCELLED + "a_registration_that_is_cut_short_leaves_no_member_behind",
        "    except BaseException:\n        await consumer.shutdown(drain=False)\n        raise\n    return consumer",
        "    except BaseException:\n        raise\n    return consumer",
    ),
    Mutant(
        "messages of several partitions that are tried alone, all at once",
        "P6",
        "segmenter/core/caution.py",
        DEATHS + "a_message_that_kills_its_process_costs_no_message_of_another_partition_an_attempt",
        " or not self.turn.take(self):",
        ":",
    ),
    Mutant(
        "partition under suspicion that nobody asks again",
        "P8",
        RUNTIME + "runner.py",
        STANDING + "after_two_such_ends_every_partition_of_a_process_gets_on",
        "self._pump.look_at(crew.holding)",
        "self._pump.wake()",
    ),
    Mutant(
        "Ctrl-C that a handler swallows",
        "P8",
        SLOT_LOOP,
        HANDLERS + "ctrl_c_in_a_handler_ends_its_worker_in_order_and_goes_on_its_way",
        "            self._interrupted(error)\n",
        "            pass\n",
    ),
    Mutant(
        "message that fails since no thread can be started",
        "P6",
        RUNTIME + "threads.py",
        HANDLERS + "a_message_for_which_no_thread_can_be_started_is_called_later_untried",
        "            raise NotCalled(str(error)) from error\n",
        "            raise\n",
    ),
    Mutant(
        "thread that the end of its event loop waits for",
        "P8",
        RUNTIME + "threads.py",
        "tests/blocking/test_workers.py::test_a_handler_that_does_not_end_is_told_of",
        "        return await waiting\n",
        "        return job.result()\n",
    ),
    Mutant(
        "heart that stands still, and nobody looks",
        "P8",
        RUNTIME + "pump.py",
        OTHERS + "a_heart_that_stands_still_is_told_to_its_consumers",
        "        self._lease.check_heart()\n",
        "",
    ),
    Mutant(
        "heart that stands still, and is given more time at each rejoining",
        "P8",
        RUNTIME + "lease.py",
        OTHERS + "a_heart_that_stands_still_is_told_to_its_consumers",
        "        if self._heart.turns == self._turns_at_begin:",
        "        if False:",
    ),
    Mutant(
        "heart that is missed for the time in which nobody needed it",
        "P8",
        RUNTIME + "lease.py",
        OTHERS + "a_heart_is_not_missed_while_its_consumer_is_no_member",
        "            self._heart_turned_at += now - self._ended_at",
        "            pass",
    ),
    Mutant(
        "event loop that stands still, and whose process goes on",
        "P8",
        RUNTIME + "pump.py",
        STANDING + "user_code_that_blocks_the_event_loop_ends_its_process_and_is_named[handler]",
        "        self._host.on_stuck(stuck)\n",
        "",
    ),
    Mutant(
        "event loop that stands still before there is a heart",
        "P8",
        WATCHDOG,
        STANDING
        + "user_code_that_blocks_the_event_loop_before_the_heart_beats_ends_its_process_and_is_named[lifespan-connect]",
        "            self._check(time.monotonic())\n",
        "",
    ),
    Mutant(
        "interpreter that stands still, and no timer runs",
        "P8",
        WATCHDOG,
        STANDING + "user_code_that_keeps_the_lock_of_the_interpreter_ends_its_process_and_is_named[codec]",
        "        faulthandler.dump_traceback_later(limit_s, exit=True)",
        "        pass",
    ),
)
