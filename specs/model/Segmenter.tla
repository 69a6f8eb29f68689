----------------------------- MODULE Segmenter ------------------------------
(***************************************************************************)
(* The protocol of specs/protocol.md: processes that come, stand still,    *)
(* die and go; a group's document; a lane for each partition; a network    *)
(* that loses answers and delivers requests late; a server that may lose   *)
(* what it acknowledged.                                                   *)
(*                                                                         *)
(* What is atomic. A command and its answer are one step, unless a fault   *)
(* comes between them, or the process stands still; whatever a member      *)
(* makes of an answer belongs to that step. A command is sent long before  *)
(* it is executed, so anything may happen in between.                      *)
(*                                                                         *)
(* What time is. There is none, but for the lease: of a process that       *)
(* stands still it runs out at some moment, and not before that may        *)
(* anybody expire it. That beats give this is shown in Beats.tla.          *)
(* Names of actions are those of the commands.                             *)
(***************************************************************************)
EXTENDS Member

CONSTANTS Processes,  \* 1 .. n
          Founders,   \* those that are members from the beginning
          Kinds,      \* faults that may happen ...
          Faults,     \* ... and how many of them
          Leaves      \* how many processes are shut down

VARIABLES group,      \* the document
          lane,       \* of each partition
          processes,
          late,       \* requests that nobody waits for, and that may still arrive
          settled,    \* of each partition, the messages whose handlers have ended
          past,       \* what slots were before their last changes, where these may be lost
          clock,      \* the server's, in numbers of epochs: counts only after something was lost
          faults, leaves

vars == <<group, lane, processes, late, settled, past, clock, faults, leaves>>

Forgets == Kinds \cap {"roll back the group", "roll back a lane", "roll back a lane and the clock"} # {}  \* the last change of a slot

Id(c) == 10 * c + 1
Alive == {processes[c].me : c \in {d \in Processes : Present(processes[d]) /\ processes[d].leased}}

-----------------------------------------------------------------------------
\* The parts of a step.

(***************************************************************************)
(* A process becomes m; what it had under way and gives up is late.        *)
(***************************************************************************)
Becomes(c, m, executed) ==
  /\ processes' = [processes EXCEPT ![c] = m]
  /\ late' = late \cup ((Requests(processes[c]) \ Requests(m)) \ executed)

Only(c, m) ==
  /\ Becomes(c, m, {})
  /\ UNCHANGED <<group, lane, past, clock>>

(***************************************************************************)
(* The server executes a request.                                          *)
(***************************************************************************)
Executes(r, result) ==
  /\ lane' = [lane EXCEPT ![r.partition] = result.lane]
  /\ past' = IF Forgets /\ result.lane # lane[r.partition]
             THEN [past EXCEPT !.lane[r.partition] = lane[r.partition]] ELSE past
  /\ UNCHANGED <<group, clock>>

Fault(kind) ==
  /\ kind \in Kinds
  /\ faults > 0
  /\ faults' = faults - 1

NoFault == UNCHANGED <<faults, leaves>>

Active(c) == processes[c].awake /\ Present(processes[c])

-----------------------------------------------------------------------------
\* Claims and releases. The process takes the answer in, or finds it when it goes on.

(***************************************************************************)
(* Who has to wait says so to the owner, if the document lists it.         *)
(***************************************************************************)
Announce(ps, m, p) ==
  LET h == m.holds[p]
  IN IF h.state = "WAITING" /\ h.owner \in m.document.members /\ ~Weak("nobody says Wanted")
     THEN [d \in Processes |-> Wanted(ps[d], p, h.owner, h.epoch, Alive)] ELSE ps

Asks(c, p) == /\ Present(processes[c])
              /\ processes[c].holds[p].pending # None /\ processes[c].holds[p].reply = None

Exchange(c, p) ==
  LET m == processes[c]
      r == m.holds[p].pending
      result == Law(lane[p], r, clock)
      fresh == [m EXCEPT !.holds[p].work.current = TRUE]
      next == IF m.awake THEN Answered(fresh, p, result.reply, Alive)
              ELSE [fresh EXCEPT !.holds[p].reply = result.reply]
      after == [processes EXCEPT ![c] = next]
  IN /\ Asks(c, p)
     /\ processes' = IF result.reply.kind \in {"Held", "Changed"} THEN Announce(after, next, p) ELSE after
     /\ late' = late \cup ((Requests(m) \ Requests(next)) \ {r})
     /\ Executes(r, result)
     /\ UNCHANGED settled /\ NoFault

Claim(c, p) == processes[c].holds[p].pending.kind = "Claim" /\ Exchange(c, p)

Release(c, p) == processes[c].holds[p].pending.kind = "Release" /\ Exchange(c, p)

MayAnswer(c, p) == Active(c) /\ processes[c].holds[p].reply # None

Answer(c, p) ==
  /\ MayAnswer(c, p)
  /\ LET m == processes[c]
         next == Answered(m, p, m.holds[p].reply, Alive)
         after == [processes EXCEPT ![c] = next]
     IN /\ processes' = IF m.holds[p].reply.kind \in {"Held", "Changed"} THEN Announce(after, next, p) ELSE after
        /\ late' = late \cup (Requests(m) \ Requests(next))
  /\ UNCHANGED <<group, lane, past, clock, settled>> /\ NoFault

(***************************************************************************)
(* It may be free by now: a member that waits asks again, for ever. What   *)
(* would be answered as before, and change nothing, is left out.           *)
(***************************************************************************)
AsksInVain(c, p) ==
  LET m == processes[c]
      h == m.holds[p]
      reply == Law(lane[p], ClaimOf(m, h, p, Alive), clock).reply
  IN CASE reply.kind = "Held"   -> /\ reply.owner = h.owner /\ reply.epoch = h.epoch
                                   /\ Announce(processes, m, p) = processes
       [] reply.kind = "Behind" -> reply.generation <= m.behind
       [] OTHER                 -> FALSE

MayPoke(c, p) == Active(c) /\ processes[c].holds[p].state = "WAITING" /\ ~AsksInVain(c, p)

Poke(c, p) ==
  /\ MayPoke(c, p)
  /\ Only(c, [processes[c] EXCEPT !.holds[p] = Turned(processes[c], @, p, "POKED", None, Alive)])
  /\ UNCHANGED settled /\ NoFault

LoseTheReply(c, p) ==
  LET m == processes[c]
      r == m.holds[p].pending
  IN /\ Active(c) /\ Asks(c, p)
     /\ Fault("lose the reply")
     /\ Executes(r, Law(lane[p], r, clock))
     /\ Becomes(c, Unanswered(m, p, Alive), {r})
     /\ UNCHANGED <<settled, leaves>>

Delay(c, p) ==
  LET m == processes[c]
      r == m.holds[p].pending
  IN /\ Active(c) /\ Asks(c, p)
     /\ Fault("delay")
     /\ processes' = [processes EXCEPT ![c] = Unanswered(m, p, Alive)]
     /\ late' = late \cup {r}
     /\ UNCHANGED <<group, lane, past, clock, settled, leaves>>

-----------------------------------------------------------------------------
\* Handlers and progress.

MayBegin(c, p) ==
  LET h == processes[c].holds[p]
  IN Active(c) /\ h.state = "OWNED" /\ Startable(h) # {} /\ Cardinality(h.work.running) < InFlight

Begin(c, p) ==
  /\ MayBegin(c, p)
  /\ Only(c, [processes[c] EXCEPT !.holds[p].work.running = @ \cup {First(Startable(processes[c].holds[p]))}])
  /\ UNCHANGED settled /\ NoFault

Finish(c, p, i) ==
  LET h == processes[c].holds[p]
  IN /\ Active(c) /\ i \in h.work.running
     /\ Only(c, [processes[c] EXCEPT !.holds[p].work.running = @ \ {i},
                                     !.holds[p].work.progress = IF Holding(h) THEN Settling(@, i) ELSE @])
     /\ settled' = IF h.work.current THEN [settled EXCEPT ![p] = @ \cup {i}] ELSE settled
     /\ NoFault

(***************************************************************************)
(* One commit is in flight at a time, repeated as it was.                  *)
(***************************************************************************)
NextCommit(c, p) ==
  LET h == processes[c].holds[p]
  IN IF h.work.commit # None THEN h.work.commit ELSE CommitOf(processes[c], h, p)

MayCommit(c, p) ==
  LET h == processes[c].holds[p]
  IN /\ Active(c) /\ Holding(h)
     /\ IF h.work.commit # None THEN ~Weak("no repeat of the last commit") ELSE h.work.progress # h.work.stored

InFlightWith(m, p, r) == [m EXCEPT !.holds[p].work.commit = r, !.holds[p].work.number = r.number]

Stored(m, p, r) == [m EXCEPT !.holds[p].work.commit = None, !.holds[p].work.number = r.number,
                             !.holds[p].work.stored = r.progress]

Commit(c, p) ==
  LET m == processes[c]
      r == NextCommit(c, p)
      result == Law(lane[p], r, clock)
  IN /\ MayCommit(c, p)
     /\ Executes(r, result)
     /\ Becomes(c, IF result.reply.kind = "Committed" THEN Stored(m, p, r) ELSE Refused(m, p, Alive), {r})
     /\ UNCHANGED settled /\ NoFault

LoseTheReplyToCommit(c, p) ==
  LET r == NextCommit(c, p)
  IN /\ MayCommit(c, p)
     /\ Fault("lose the reply")
     /\ Executes(r, Law(lane[p], r, clock))
     /\ Becomes(c, InFlightWith(processes[c], p, r), {})
     /\ UNCHANGED <<settled, leaves>>

DelayCommit(c, p) ==
  LET r == NextCommit(c, p)
  IN /\ MayCommit(c, p)
     /\ Fault("delay") \/ Fault("delay a commit")
     /\ processes' = [processes EXCEPT ![c] = InFlightWith(processes[c], p, r)]
     /\ late' = late \cup {r}
     /\ UNCHANGED <<group, lane, past, clock, settled, leaves>>

(***************************************************************************)
(* Nothing of it is in flight any more: it is given up with its progress.  *)
(***************************************************************************)
MayDrain(c, p) ==
  LET h == processes[c].holds[p]
  IN /\ Active(c) /\ h.state = "DRAINING" /\ h.work.commit = None
     /\ h.work.running = {} \/ Weak("release while in flight")

Drain(c, p) ==
  /\ MayDrain(c, p)
  /\ Only(c, [processes[c] EXCEPT !.holds[p] = Turned(processes[c], @, p, "DRAINED", Last(@), Alive)])
  /\ UNCHANGED settled /\ NoFault

(***************************************************************************)
(* A look at a lane that is held, with each beat.                          *)
(***************************************************************************)
MayProbe(c, p) ==
  LET h == processes[c].holds[p]
  IN /\ Active(c) /\ h.state = "OWNED" /\ ~Weak("no probe")
     /\ ~(lane[p].epoch = h.epoch /\ lane[p].owner = processes[c].me /\ lane[p].intact)

Probe(c, p) ==
  /\ MayProbe(c, p)
  /\ Only(c, Refused(processes[c], p, Alive))
  /\ UNCHANGED settled /\ NoFault

(***************************************************************************)
(* A late request arrives, or never does; nobody waits for its answer.     *)
(***************************************************************************)
Arrive == \E r \in late :
  /\ Executes(r, Law(lane[r.partition], r, clock))
  /\ late' = late \ {r}
  /\ UNCHANGED <<processes, settled>> /\ NoFault

-----------------------------------------------------------------------------
\* Membership.

(***************************************************************************)
(* A member that is not listed is not revived: it drops everything, and    *)
(* comes again as a new one, unless it was about to leave.                 *)
(***************************************************************************)
Out(m) == [NewMember(m.me + 1) EXCEPT !.status = IF m.status = "leaving" THEN "ended" ELSE "outside"]

Older(m) == m.me \in group.members /\ group.generation < m.document.generation

MayBeat(c) ==
  LET m == processes[c] IN Active(c) /\ m.document # group /\ ~(Older(m) /\ m.loading)

Beat(c) ==
  LET m == processes[c]
  IN /\ MayBeat(c)
     /\ Only(c, IF m.me \notin group.members THEN Out(m)
                ELSE IF Older(m) THEN [m EXCEPT !.loading = TRUE]  \* rather ask than believe
                ELSE Observe(m, group, Alive))
     /\ UNCHANGED settled /\ NoFault

Knows(c) == Active(c) /\ processes[c].document = group
MayWrite(c) == Knows(c) /\ processes[c].status = "member"
MayLeave(c) == Knows(c) /\ processes[c].status = "leaving"
IsBehind(c) == processes[c].behind > group.generation

(***************************************************************************)
(* Asked for after a refusal: what stands there may be what is known, and  *)
(* means the partition once more. Who knows it, and is about to change it, *)
(* does that first: to ask again until then would be to go round in        *)
(* circles.                                                                *)
(***************************************************************************)
MayLoad(c) ==
  /\ Active(c) /\ processes[c].loading
  /\ ~(MayWrite(c) /\ IsBehind(c)) /\ ~(MayLeave(c) /\ processes[c].me \notin group.leaving)

LoadGroup(c) ==
  LET m == [processes[c] EXCEPT !.loading = FALSE]
  IN /\ MayLoad(c)
     /\ Only(c, IF m.me \in group.members THEN Observe(m, group, Alive) ELSE Out(m))
     /\ UNCHANGED settled /\ NoFault

\* A version is a token: it was never there before, also if the document went back.
Fresh == LET known == {group.version, past.group.version}
                      \cup {processes[c].document.version : c \in {d \in Processes : Present(processes[d])}}
         IN 1 + CHOOSE v \in known : \A w \in known : w <= v

(***************************************************************************)
(* Compare-and-set: whoever does not know the document that stands there   *)
(* learns it, as by a beat, and asks again; so only who knows it writes.   *)
(***************************************************************************)
Writes(c, m, document, floor) ==
  LET written == Written(document, Max(group.generation, floor), Fresh)
      after == IF m.me \in written.members THEN Observe(m, written, Alive) ELSE Out(m)
  IN /\ group' = written
     /\ past' = IF Forgets THEN [past EXCEPT !.group = group] ELSE past
     /\ Becomes(c, after, {})
     /\ UNCHANGED <<lane, clock, settled>> /\ NoFault

Joined(c) ==
  LET m == [processes[c] EXCEPT !.status = "member", !.leased = TRUE, !.document = group]
  IN /\ processes[c].status = "outside"
     /\ Writes(c, m, AfterJoined(group, m.me), group.generation)

Leaving(c) ==
  /\ MayLeave(c) /\ processes[c].me \notin group.leaving
  /\ Writes(c, processes[c], AfterLeaving(group, processes[c].me), group.generation)

Left(c) ==
  /\ MayLeave(c) /\ processes[c].me \in group.leaving /\ Idle(processes[c])
  /\ Writes(c, processes[c], AfterGone(group, {processes[c].me}), group.generation)

CaughtUp(c) ==
  /\ MayWrite(c) /\ IsBehind(c) /\ ~Weak("a document behind is not lifted")
  /\ Writes(c, processes[c], group, processes[c].behind)

Silent == {x \in group.members :
  IF Weak("expiry by a foreign clock") THEN \E c \in Processes : processes[c].me = x /\ ~processes[c].awake
  ELSE x \notin Alive}

Expired(c) ==
  /\ MayWrite(c) /\ Silent # {}
  /\ Writes(c, processes[c], AfterGone(group, Silent), group.generation)

Balanced(c) ==
  /\ MayWrite(c) /\ ~IsBehind(c) /\ ~IsBalanced(group)
  /\ Writes(c, processes[c], Rebalanced(group), group.generation)

UpdateGroup(c) ==
  Joined(c) \/ Leaving(c) \/ Left(c) \/ CaughtUp(c) \/ Expired(c) \/ Balanced(c)

-----------------------------------------------------------------------------
\* Processes, and what befalls them.

Leave(c) ==
  /\ Active(c) /\ processes[c].status = "member" /\ leaves > 0
  /\ leaves' = leaves - 1
  /\ Only(c, [processes[c] EXCEPT !.status = "leaving"])
  /\ UNCHANGED <<settled, faults>>

Pause(c) ==
  /\ Active(c) /\ Fault("pause")
  /\ Only(c, [processes[c] EXCEPT !.awake = FALSE])
  /\ UNCHANGED <<settled, leaves>>

LeaseOver(c) ==
  /\ Present(processes[c]) /\ ~processes[c].awake /\ processes[c].leased
  /\ Only(c, [processes[c] EXCEPT !.leased = FALSE])
  /\ UNCHANGED settled /\ NoFault

(***************************************************************************)
(* Whoever goes on after standing still looks at its lease first.          *)
(***************************************************************************)
Wake(c) ==
  LET m == [processes[c] EXCEPT !.awake = TRUE]
  IN /\ ~processes[c].awake
     /\ Only(c, IF m.leased \/ Weak("no lease check on waking") THEN m ELSE Out(m))
     /\ UNCHANGED settled /\ NoFault

Crash(c) ==
  /\ Active(c) /\ Fault("crash")
  /\ Only(c, [NewMember(processes[c].me + 1) EXCEPT !.status = "ended"])
  /\ UNCHANGED <<settled, leaves>>

-----------------------------------------------------------------------------
\* The server loses the last change of a slot, which shows in a new history.
\* Its clock goes on, so an epoch that is issued from now on is larger than any that was; or it is behind
\* as well, as after a failover to a node whose clock is. Generations do without it.

Issued == UNION {{lane[p].epoch, past.lane[p].epoch} : p \in Partitions}
          \cup {clock}

Later == 1 + CHOOSE n \in Issued : \A o \in Issued : o <= n

Founding == Founded({Id(c) : c \in Founders})

RollBackTheGroup ==
  /\ \/ Fault("roll back the group") /\ group' = past.group
     \/ Fault("roll back the group to its beginning") /\ group' = Founding
  /\ group' # group
  /\ UNCHANGED <<lane, processes, late, settled, past, clock, leaves>>

(***************************************************************************)
(* With the slot goes the end of its log: in the place of all that was not *)
(* counted then stand other messages now, which nobody has read.           *)
(***************************************************************************)
Outdated(h) == IF Holding(h) \/ h.reply # None THEN [h EXCEPT !.work.current = FALSE] ELSE h

RollBackALane(p) ==
  /\ past.lane[p] # [lane[p] EXCEPT !.intact = past.lane[p].intact]
  /\ \/ Fault("roll back a lane") /\ clock' = Later
     \/ Fault("roll back a lane and the clock") /\ clock' = clock
  /\ lane' = [lane EXCEPT ![p] = [past.lane[p] EXCEPT !.intact = FALSE]]
  /\ settled' = [settled EXCEPT ![p] = @ \cap Counted(past.lane[p].progress)]
  /\ processes' = [c \in Processes |-> [processes[c] EXCEPT !.holds[p] = Outdated(@)]]
  /\ UNCHANGED <<group, late, past, leaves>>

-----------------------------------------------------------------------------

Founder(c) ==
  Observe([NewMember(Id(c)) EXCEPT !.status = "member", !.leased = TRUE], Founding, {})

Init ==
  /\ group = Founding
  /\ lane = [p \in Partitions |-> NewLane]
  /\ processes = [c \in Processes |-> IF c \in Founders THEN Founder(c) ELSE NewMember(Id(c))]
  /\ late = {}
  /\ settled = [p \in Partitions |-> {}]
  /\ past = [group |-> group, lane |-> lane]
  /\ clock = 0
  /\ faults = Faults /\ leaves = Leaves

Next ==
  \/ \E c \in Processes, p \in Partitions :
       Claim(c, p) \/ Release(c, p) \/ Answer(c, p) \/ Poke(c, p) \/ LoseTheReply(c, p) \/ Delay(c, p)
  \/ \E c \in Processes, p \in Partitions :
       Begin(c, p) \/ Commit(c, p) \/ LoseTheReplyToCommit(c, p) \/ DelayCommit(c, p) \/ Drain(c, p) \/ Probe(c, p)
  \/ \E c \in Processes, p \in Partitions : \E i \in 0 .. Messages - 1 : Finish(c, p, i)
  \/ Arrive
  \/ \E c \in Processes : Beat(c) \/ LoadGroup(c) \/ UpdateGroup(c)
  \/ \E c \in Processes : Leave(c) \/ Pause(c) \/ LeaseOver(c) \/ Wake(c) \/ Crash(c)
  \/ RollBackTheGroup
  \/ \E p \in Partitions : RollBackALane(p)

(***************************************************************************)
(* What is bound to happen if it stays possible. Never that a fault comes, *)
(* or that a late request arrives. That it is something of this, whatever  *)
(* it is, is enough: nothing of this goes round in circles.                *)
(***************************************************************************)
Duty ==
  \/ \E c \in Processes : Wake(c) \/ Beat(c) \/ LoadGroup(c) \/ UpdateGroup(c)
  \/ \E c \in Processes, p \in Partitions :
       \/ Claim(c, p) \/ Release(c, p) \/ Answer(c, p) \/ Poke(c, p)
       \/ Begin(c, p) \/ Commit(c, p) \/ Drain(c, p) \/ Probe(c, p)
       \/ \E i \in 0 .. Messages - 1 : Finish(c, p, i)

(***************************************************************************)
(* Whether any of it is possible: ENABLED Duty, written out, since TLC     *)
(* takes its time to find that out.                                        *)
(***************************************************************************)
Due ==
  \/ \E c \in Processes :
       \/ ~processes[c].awake \/ MayBeat(c) \/ MayLoad(c) \/ processes[c].status = "outside"
       \/ MayLeave(c) /\ (processes[c].me \notin group.leaving \/ Idle(processes[c]))
       \/ MayWrite(c) /\ (Silent # {} \/ IF IsBehind(c) THEN ~Weak("a document behind is not lifted")
                                         ELSE ~IsBalanced(group))
  \/ \E c \in Processes, p \in Partitions :
       \/ Asks(c, p) \/ MayAnswer(c, p) \/ MayPoke(c, p)
       \/ MayBegin(c, p) \/ MayCommit(c, p) \/ MayDrain(c, p) \/ MayProbe(c, p)
       \/ Active(c) /\ processes[c].holds[p].work.running # {}

DueIsDuty == Due = ENABLED Duty

Spec == Init /\ [][Next]_vars
FairSpec == Spec /\ WF_vars(Duty)

-----------------------------------------------------------------------------
\* What must hold, by the numbers of specs/protocol.md.

Works(c, p) ==  \* may handle messages of p, or does; a process past its lease and asleep does not
  LET m == processes[c]
  IN /\ Present(m) /\ (m.awake \/ m.leased)
     /\ Holding(m.holds[p]) \/ m.holds[p].work.running # {}
     /\ m.holds[p].work.current

Asked == late \cup UNION {Requests(processes[c]) : c \in Processes}
              \cup {NextCommit(x[1], x[2]) : x \in {y \in Processes \X Partitions : MayCommit(y[1], y[2])}}

\* At most one (owner, epoch) can commit: progress comes by a request of the one that owns.
INV_1_step == \A p \in Partitions :
  LET its == {r \in Asked : /\ r.partition = p /\ r.kind # "Claim" /\ r.progress = lane'[p].progress
                           /\ r.member = lane[p].owner /\ r.epoch = lane[p].epoch}
  IN /\ lane'[p].progress # lane[p].progress => its # {}
     /\ lane'[p].number # lane[p].number /\ lane'[p].epoch = lane[p].epoch =>
          \E r \in its : r.kind = "Commit" /\ r.number = lane'[p].number

\* No two tenures of a member share an epoch, also if the server has forgotten the first of them and its
\* clock is behind: a late commit of the first would count for the second.
INV_1_tenures == [][\A c \in Processes, p \in Partitions :
  LET h == processes[c].holds[p]
      next == processes'[c].holds[p]
  IN processes'[c].me = processes[c].me /\ h.state = "CLAIMING" /\ next.state = "OWNED" =>
       next.epoch > h.floor]_vars

\* Epochs rise, with every change of hands.
INV_2_step == \A p \in Partitions :
  /\ lane'[p].epoch >= lane[p].epoch
  /\ lane'[p].owner # lane[p].owner \/ lane'[p].claim # lane[p].claim => lane'[p].epoch > lane[p].epoch

\* The committed offset never goes back, and what was finished ahead of it stays so.
INV_3_step == \A p \in Partitions :
  /\ lane'[p].progress.read >= lane[p].progress.read
  /\ Counted(lane[p].progress) \subseteq Counted(lane'[p].progress)

SomethingIsLost == RollBackTheGroup \/ \E p \in Partitions : RollBackALane(p)
INV_1 == [][INV_1_step \/ SomethingIsLost]_vars
INV_2 == [][INV_2_step \/ SomethingIsLost]_vars
INV_3 == [][INV_3_step \/ SomethingIsLost]_vars

\* What counts as settled is settled.
INV_4 == \A p \in Partitions : Counted(lane[p].progress) \subseteq settled[p]

\* The settled messages of a key are its first ones.
INV_5 == \A p \in Partitions : \A i \in settled[p] : Before(i) \subseteq settled[p]

\* Nothing is handled before the message before it is settled.
INV_6 == \A c \in Processes, p \in Partitions :
  Works(c, p) => \A i \in processes[c].holds[p].work.running : Before(i) \subseteq settled[p]

\* Nobody works on what another works on.
INV_7 == \A c, d \in Processes, p \in Partitions : Works(c, p) /\ Works(d, p) => c = d

\* An owner that lives is listed by the document it knows, which is not older than its claim.
INV_8 == \A c \in Processes : Present(processes[c]) =>
  /\ processes[c].me \in processes[c].document.members
  /\ Kinds \cap {"roll back the group", "roll back the group to its beginning"} = {} =>
       \A p \in Partitions : lane[p].owner = processes[c].me =>
         lane[p].generation <= processes[c].document.generation

\* The assignment covers every partition, is balanced, and no balanced one moves fewer.
INV_11_step ==
  group'.assignment # group.assignment =>
    /\ IsBalanced(group')
    /\ \A other \in [Partitions -> Eligible(group')] :
         BalancedOver(Eligible(group'), other) =>
           Moves(group.assignment, group'.assignment, Eligible(group'))
             <= Moves(group.assignment, other, Eligible(group'))
INV_11 == [][(Eligible(group') # {} => INV_11_step) \/ SomethingIsLost]_vars

\* Nothing starts after the lease.
INV_12 == [][\A c \in Processes, p \in Partitions :
               /\ processes'[c].me = processes[c].me
               /\ ~(processes'[c].holds[p].work.running \subseteq processes[c].holds[p].work.running)
               => processes[c].leased]_vars

\* Rule 4: a member knows what it owns, unless the server has forgotten what came after.
KnownOwner == Forgets \/
  \A c \in Processes, p \in Partitions :
    lane[p].owner = processes[c].me => processes[c].holds[p].state \notin {"FREE", "WAITING"}

-----------------------------------------------------------------------------
\* What must come about, when no fault is left: P8, and everything is settled and stored.

Settled == \A p \in Partitions :
  /\ lane[p].progress.read = Messages
  /\ \E c \in Processes : /\ lane[p].owner = processes[c].me
                          /\ processes[c].holds[p].state = "OWNED"
                          /\ group.assignment[p] = processes[c].me

Good == Settled \/ \A c \in Processes : processes[c].status = "ended"

Liveness == <>[]Good

(***************************************************************************)
(* FairSpec => Liveness, in two parts that take far less time: nothing     *)
(* goes round in circles, so every behaviour comes to an end; and where    *)
(* nothing is bound to happen, all is good.                                *)
(***************************************************************************)
NoCircles == <>[][FALSE]_vars
GoodEnd == Good \/ Due
=============================================================================
