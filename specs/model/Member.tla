------------------------------- MODULE Member -------------------------------
(***************************************************************************)
(* The machine of a member: what it makes of documents and replies.        *)
(* segmenter/core/machine.py without its clock and its announcements. All  *)
(* operators here are functions of a member, `m`, and of one of its holds, *)
(* `h`; what a hold becomes depends on no other hold.                      *)
(***************************************************************************)
EXTENDS Document, Table

NoWork == [progress |-> Start,   \* what is settled, as far as this hold knows
           running  |-> {},      \* handlers that have begun and not ended
           stored   |-> Start,   \* the progress last known to be stored
           number   |-> 0,       \* of the last commit
           commit   |-> None,    \* the one that has no answer
           current  |-> TRUE]    \* whether the log still is the one that was read (known to nobody)

NewHold == [state |-> "FREE", epoch |-> 0, owner |-> Nobody,
            floor |-> 0,         \* the highest epoch ever known
            pending |-> None,    \* a claim or a release without an answer ...
            reply |-> None,      \* ... which waits here while the process stands still
            work |-> NoWork]

(***************************************************************************)
(* A process lives through several memberships, each under a new id.       *)
(***************************************************************************)
NewMember(me) == [me |-> me, status |-> "outside", awake |-> TRUE, leased |-> FALSE,
                  document |-> None, loading |-> FALSE,  \* whether it has asked for it
                  behind |-> 0,  \* a generation that a lane has seen
                  holds |-> [p \in Partitions |-> NewHold]]

Present(m) == m.status \in {"member", "leaving"}
Holding(h) == h.state \in {"OWNED", "DRAINING"}
Idle(m) == \A p \in Partitions : m.holds[p].state = "FREE"

(***************************************************************************)
(* Who may be evicted: an owner that the document lists as gone, or one    *)
(* that it does not list and that cannot live any more (`alive`), which a  *)
(* member knows after a session.                                           *)
(***************************************************************************)
Claimable(m, owner, alive) ==
  \/ owner \in {Nobody, m.me} \cup m.document.gone
  \/ owner \notin m.document.members \cup alive
  \/ Weak("claim evicts an owner not listed as gone")

Known(h, epoch) == [h EXCEPT !.epoch = epoch, !.floor = Max(@, epoch)]

ClaimOf(m, h, p, alive) ==
  [kind |-> "Claim", partition |-> p, member |-> m.me, generation |-> m.document.generation,
   ifEpoch |-> h.epoch, claim |-> [member |-> m.me, number |-> h.epoch],
   floor |-> IF Weak("claim without a floor") THEN 0 ELSE h.floor,
   evict |-> IF Claimable(m, h.owner, alive) THEN h.owner ELSE Nobody]

ReleaseOf(m, p, epoch, number, progress, evict) ==
  [kind |-> "Release", partition |-> p, member |-> m.me, epoch |-> epoch,
   number |-> number, progress |-> progress, evict |-> evict]

CommitOf(m, h, p) ==
  [kind |-> "Commit", partition |-> p, member |-> m.me, epoch |-> h.epoch,
   number |-> h.work.number + 1, progress |-> h.work.progress]

-----------------------------------------------------------------------------
\* One row of the table: the state that follows, and what is to be done.
\* `about` comes with the symbol: the grant, or what to release with.

RECURSIVE Turned(_, _, _, _, _, _)

Do(m, h, p, action, about, alive) ==
  CASE action = "CLAIM" -> [h EXCEPT !.pending = ClaimOf(m, h, p, alive)]
    [] action = "ABANDON" ->
         IF Weak("unanswered claim left alone") THEN [h EXCEPT !.state = "FREE", !.pending = None]
         ELSE [h EXCEPT !.pending = ReleaseOf(m, p, @.ifEpoch, 0, Start, @.evict)]
    [] action = "RELEASE" ->
         [h EXCEPT !.pending = ReleaseOf(m, p, h.epoch, about.number, about.progress, Nobody),
                   !.work = [NoWork EXCEPT !.running = h.work.running]]
    [] action = "FETCH" ->
         [h EXCEPT !.owner = m.me,
                   !.work = [NoWork EXCEPT !.progress = about.grant, !.stored = about.grant,
                                           !.current = h.work.current]]
    [] action = "FREED" ->
         IF m.document.assignment[p] = m.me /\ m.status = "member"
         THEN Turned(m, h, p, "ASSIGNED", None, alive) ELSE h
    [] action = "LOSE" -> [h EXCEPT !.work = NoWork]
    [] action \in {"NONE", "REPEAT", "STOP", "WAIT", "REFRESH"} -> h

Turned(m, h, p, symbol, about, alive) ==
  IF symbol \in DOMAIN Rows[h.state]
  THEN LET row == Rows[h.state][symbol]
       IN Do(m, [h EXCEPT !.state = row[1]], p, row[2], about, alive)
  ELSE IF Assert(symbol \in Ignored, <<symbol, "in", h.state>>) THEN h ELSE h

Refreshes(h, symbol) ==
  symbol \in DOMAIN Rows[h.state] /\ Rows[h.state][symbol][2] \in {"LOSE", "REFRESH"}

\* The hold as it stands, h, takes in a symbol; some rows make the member ask for the document.
Taking(m, p, h, symbol, about, alive) ==
  [m EXCEPT !.holds[p] = Turned(m, h, p, symbol, about, alive),
            !.loading = @ \/ Refreshes(h, symbol)]

Nothing == [number |-> 0, progress |-> Start]
Last(h) == [number |-> h.work.number + 1, progress |-> h.work.progress]

-----------------------------------------------------------------------------
\* What a member makes of a document, and of an answer.

Observe(m, document, alive) ==
  LET seen == [m EXCEPT !.document = document]
      Meant(p) == Turned(seen, m.holds[p], p,
                         IF document.assignment[p] = m.me THEN "ASSIGNED" ELSE "REVOKED", None, alive)
      Poked(h, p) == IF h.owner \in document.gone THEN Turned(seen, h, p, "POKED", None, alive) ELSE h
  IN [seen EXCEPT !.holds = [p \in Partitions |-> Poked(Meant(p), p)]]

Met(h, reply) == [Known(h, reply.epoch) EXCEPT !.owner = reply.owner]

Answered(m, p, reply, alive) ==
  LET request == m.holds[p].pending
      h == [m.holds[p] EXCEPT !.pending = None, !.reply = None]
      Becomes(hold, symbol, about) == Taking(m, p, hold, symbol, about, alive)
  IN CASE reply.kind = "Claimed" -> Becomes(Known(h, reply.epoch), "GRANTED",
                                            [grant |-> reply.progress] @@ Nothing)
       [] reply.kind \in {"Held", "Changed"} ->
            Becomes(Met(h, reply), IF reply.kind = "Changed" /\ Claimable(m, reply.owner, alive)
                                   THEN "CHANGED" ELSE "HELD", None)
       [] reply.kind = "Behind" ->
            [Becomes(h, "BEHIND", None) EXCEPT !.behind = Max(@, reply.generation)]
       [] reply.kind = "Released" ->
            Becomes([Known(h, reply.epoch) EXCEPT !.owner = Nobody], "RELEASED", None)
       [] reply.kind = "Fenced" ->
            Becomes(Met(h, reply), IF reply.owner = m.me THEN "ORPHANED" ELSE "FENCED", Nothing)

Unanswered(m, p, alive) ==
  Taking(m, p, m.holds[p], "UNANSWERED", None, alive)

Refused(m, p, alive) ==
  Taking(m, p, m.holds[p], "REFUSED", None, alive)

(***************************************************************************)
(* Another member says that this one owns p: it releases it if it does not *)
(* know of that (the answer to its claim was lost).                        *)
(***************************************************************************)
Wanted(m, p, owner, epoch, alive) ==
  IF m.me = owner /\ m.awake /\ Present(m) /\ m.holds[p].state = "FREE"
  THEN [m EXCEPT !.holds[p] = Turned(m, Known(@, epoch), p, "WANTED", Nothing, alive)]
  ELSE m

(***************************************************************************)
(* The requests that a member has under way; they may still arrive when it *)
(* is no more.                                                             *)
(***************************************************************************)
Requests(m) ==
  UNION {{m.holds[p].work.commit, IF m.holds[p].reply = None THEN m.holds[p].pending ELSE None} :
         p \in Partitions} \ {None}

-----------------------------------------------------------------------------
\* Handlers. KeyOf says which key a message has; the log of each partition is alike.

CONSTANTS Messages,  \* their ordinals are 0 .. Messages - 1
          Keys,      \* message i has key i % Keys
          InFlight   \* handlers of a partition at once

Before(i) == {j \in 0 .. i - 1 : j % Keys = i % Keys}

Startable(h) ==
  {i \in 0 .. Messages - 1 : /\ i \notin Counted(h.work.progress) \cup h.work.running
                             /\ Before(i) \subseteq Counted(h.work.progress)}

First(S) == CHOOSE i \in S : \A j \in S : i <= j

(***************************************************************************)
(* The watermark rises over what was settled ahead of it, and stops at the *)
(* first gap.                                                              *)
(***************************************************************************)
Settling(progress, i) ==
  LET done == Counted(progress) \cup {i}
      read == IF Weak("watermark over a gap") THEN Max(progress.read, i + 1)
              ELSE First({j \in 0 .. Messages : j \notin done})
  IN [read |-> read, ahead |-> {j \in done : j > read}]
=============================================================================
