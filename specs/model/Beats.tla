------------------------------- MODULE Beats --------------------------------
(***************************************************************************)
(* Why nobody is expired while its lease lasts, which Segmenter.tla takes  *)
(* for granted: segmenter/core/beats.py, with time. One member beats; the  *)
(* other watches. Requests and answers take any time, or get lost; each    *)
(* beats once at a moment, at most.                                        *)
(*                                                                         *)
(* Time is counted in moments: so many to a session, fewer to a lease.     *)
(* Clocks go at one pace; nobody compares what they show.                  *)
(***************************************************************************)
EXTENDS Integers, Sequences

CONSTANTS Weaknesses,
          Session, Lease,
          Until  \* when it is enough

Weak(rule) == rule \in Weaknesses

Members == {"watched", "watching"}
Nothing == [sent |-> 0, number |-> 0, below |-> 0]  \* no beat under way

VARIABLES now,
          count,      \* the group's own, of beats
          score,      \* the number of the last beat of the watched one
          flight,     \* of each member, the beat under way; its number is 0 until it is executed
          rested,     \* the members that have not beaten at this moment
          chain,      \* of the watching one: when its beats were answered, and their numbers
          leaseFrom,  \* of the watched one: when the last answered beat was sent
          evidence,   \* the number below which the watched one was found to be
          expired

vars == <<now, count, score, flight, rested, chain, leaseFrom, evidence, expired>>

Init ==
  /\ now = 1 /\ count = 2 /\ score = 1
  /\ flight = [m \in Members |-> Nothing] /\ rested = {}
  /\ chain = <<[at |-> 1, number |-> 2]>> /\ leaseFrom = 1
  /\ evidence = 0 /\ expired = FALSE

(***************************************************************************)
(* The number of a beat that was answered a session ago, or 0.             *)
(***************************************************************************)
Long == IF Weak("silence of less than a session") THEN Lease - 1 ELSE Session
Old == {i \in DOMAIN chain : chain[i].at + Long <= now}
SilentBelow == IF Old = {} THEN 0 ELSE chain[CHOOSE i \in Old : \A j \in Old : j <= i].number

Tick ==
  /\ now < Until
  /\ now' = now + 1 /\ rested' = Members
  /\ UNCHANGED <<count, score, flight, chain, leaseFrom, evidence, expired>>

Send(m) ==
  /\ flight[m] = Nothing /\ m \in rested
  /\ rested' = rested \ {m}
  /\ flight' = [flight EXCEPT ![m] = [sent |-> now, number |-> 0,
                                      below |-> IF m = "watching" THEN SilentBelow ELSE 0]]
  /\ UNCHANGED <<now, count, score, chain, leaseFrom, evidence, expired>>

(***************************************************************************)
(* The server executes a beat; one of somebody that is expired does        *)
(* nothing.                                                                *)
(***************************************************************************)
Beat(m) ==
  LET beat == flight[m]
  IN /\ beat.sent > 0 /\ beat.number = 0
     /\ ~(m = "watched" /\ expired)
     /\ count' = count + 1
     /\ score' = IF m = "watched" THEN count' ELSE score
     /\ flight' = [flight EXCEPT ![m].number = count']
     /\ evidence' = IF score < beat.below THEN beat.below ELSE evidence
     /\ UNCHANGED <<now, rested, chain, leaseFrom, expired>>

(***************************************************************************)
(* A gap of half a session in the answers starts the chain anew: for all   *)
(* the watching one knows, nobody could beat meanwhile.                    *)
(***************************************************************************)
Linked(number) ==
  LET last == chain[Len(chain)]
      link == [at |-> now, number |-> number]
  IN IF 2 * (now - last.at) > Session THEN <<link>> ELSE Append(chain, link)

Answer(m) ==
  LET beat == flight[m]
  IN /\ beat.number > 0
     /\ flight' = [flight EXCEPT ![m] = Nothing]
     /\ chain' = IF m = "watching" THEN Linked(beat.number) ELSE chain
     /\ leaseFrom' = IF m # "watched" THEN leaseFrom
                     ELSE IF Weak("lease counted from the answer") THEN now ELSE beat.sent
     /\ UNCHANGED <<now, count, score, rested, evidence, expired>>

Lose(m) ==
  /\ flight[m] # Nothing
  /\ flight' = [flight EXCEPT ![m] = Nothing]
  /\ UNCHANGED <<now, count, score, rested, chain, leaseFrom, evidence, expired>>

(***************************************************************************)
(* The write that expires somebody looks at its number once more.          *)
(***************************************************************************)
Expired ==
  /\ evidence > 0 /\ (score < evidence \/ Weak("no second look at the number"))
  /\ expired' = TRUE
  /\ UNCHANGED <<now, count, score, flight, rested, chain, leaseFrom, evidence>>

Next == Tick \/ Expired \/ \E m \in Members : Send(m) \/ Beat(m) \/ Answer(m) \/ Lose(m)

Spec == Init /\ [][Next]_vars

Leased == now < leaseFrom + Lease

NobodyIsExpiredEarly == expired => ~Leased
=============================================================================
