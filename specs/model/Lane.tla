-------------------------------- MODULE Lane --------------------------------
(***************************************************************************)
(* The law of a lane: what Claim, Commit and Release do to it, and what    *)
(* they answer. The functions Claim.apply, Commit.apply and Release.apply  *)
(* of segmenter/core/partition.py, in the same order of checks; there is   *)
(* no state here, and no time.                                             *)
(*                                                                         *)
(* A law takes the lane and a request, and gives the lane as it becomes    *)
(* and the reply. `clock` is what the server's clock says, in the numbers  *)
(* of epochs: it only makes them larger, and may be behind. The floor of a *)
(* claim is the highest epoch that its member knows.                       *)
(***************************************************************************)
EXTENDS Integers

CONSTANT Weaknesses  \* rules that are left out, to see who notices

Weak(rule) == rule \in Weaknesses
Nobody == 0          \* members are numbers above it
None == [kind |-> "None"]                   \* no request, no reply
NoClaim == [member |-> Nobody, number |-> 0]

Max(a, b) == IF a > b THEN a ELSE b

(***************************************************************************)
(* Progress: all ordinals below `read` are settled, and those in `ahead`.  *)
(***************************************************************************)
Start == [read |-> 0, ahead |-> {}]
Counted(progress) == 0 .. progress.read - 1 \cup progress.ahead

NewLane == [owner |-> Nobody, epoch |-> 0, generation |-> 0, claim |-> NoClaim,
            intact |-> TRUE,  \* whether the server's history is that of the claim
            number |-> 0, progress |-> Start]

Same(lane, reply) == [lane |-> lane, reply |-> reply]
Claimed(lane) == [kind |-> "Claimed", epoch |-> lane.epoch, progress |-> lane.progress]
About(kind, lane) == [kind |-> kind, owner |-> lane.owner, epoch |-> lane.epoch]

-----------------------------------------------------------------------------

ClaimLaw(lane, r, clock) ==
  IF lane.claim = r.claim THEN Same(lane, Claimed(lane))
  ELSE IF lane.generation > r.generation THEN
    Same(lane, [kind |-> "Behind", generation |-> lane.generation])
  ELSE IF lane.epoch # r.ifEpoch /\ ~Weak("late claim not refused") THEN
    Same(lane, About("Changed", lane))
  ELSE IF lane.owner \notin {Nobody, r.member, r.evict} /\ ~Weak("claim ignores a live owner") THEN
    Same(lane, About("Held", lane))
  ELSE LET granted == [lane EXCEPT !.owner = r.member,
                                   !.epoch = Max(Max(@ + 1, clock), r.floor + 1),
                                   !.generation = r.generation,
                                   !.claim = r.claim,
                                   !.intact = TRUE,
                                   !.number = 0]
       IN [lane |-> granted, reply |-> Claimed(granted)]

(***************************************************************************)
(* Shared by Commit and Release, once the lane is known to be the          *)
(* caller's. A number that is not new changes nothing: that is what makes  *)
(* repeating harmless.                                                     *)
(***************************************************************************)
Settle(lane, r) ==
  IF ~lane.intact /\ ~Weak("commit repeated over a change of history") THEN
    Same(lane, [kind |-> "RolledBack"])
  ELSE IF r.number <= lane.number THEN Same(lane, [kind |-> "Committed"])
  ELSE [lane |-> [lane EXCEPT !.number = r.number, !.progress = r.progress],
        reply |-> [kind |-> "Committed"]]

Fence(lane, r) ==
  \/ lane.owner = r.member /\ lane.epoch = r.epoch
  \/ Weak("no fence on commit")
  \/ Weak("epoch compared by >=") /\ lane.owner = r.member /\ lane.epoch >= r.epoch

CommitLaw(lane, r) ==
  IF ~Fence(lane, r) THEN Same(lane, About("Fenced", lane)) ELSE Settle(lane, r)

(***************************************************************************)
(* The epoch rises even if there was nothing to give up, so that an        *)
(* unanswered claim fails should it still come.                            *)
(***************************************************************************)
ReleaseLaw(lane, r, clock) ==
  IF lane.epoch # r.epoch \/ lane.owner \notin {Nobody, r.member, r.evict} THEN
    Same(lane, About("Fenced", lane))
  ELSE LET last == IF lane.owner = r.member THEN Settle(lane, r).lane ELSE lane
           freed == [last EXCEPT !.owner = Nobody, !.epoch = Max(@ + 1, clock),
                                 !.claim = NoClaim, !.number = 0]
       IN [lane |-> freed, reply |-> [kind |-> "Released", epoch |-> freed.epoch]]

Law(lane, r, clock) ==
  CASE r.kind = "Claim"   -> ClaimLaw(lane, r, clock)
    [] r.kind = "Commit"  -> CommitLaw(lane, r)
    [] r.kind = "Release" -> ReleaseLaw(lane, r, clock)
=============================================================================
