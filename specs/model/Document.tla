------------------------------ MODULE Document ------------------------------
(***************************************************************************)
(* The document of a group, and who is meant for which partition:          *)
(* GroupState.on of segmenter/core/group.py and assign of assignor.py.     *)
(* Seats and removal are left out.                                         *)
(***************************************************************************)
EXTENDS Integers, FiniteSets, Lane

CONSTANT Partitions  \* 0 .. n - 1

RECURSIVE Sum(_, _)
Sum(f, S) == IF S = {} THEN 0 ELSE LET x == CHOOSE x \in S : TRUE IN f[x] + Sum(f, S \ {x})

Size(assignment, member) == Cardinality({p \in Partitions : assignment[p] = member})

(***************************************************************************)
(* Everybody keeps what fits into its quota; the larger quotas go to those *)
(* who have most. What is left over goes, in order, to who has room.       *)
(***************************************************************************)
Assign(members, before) ==
  IF members = {} THEN [p \in Partitions |-> Nobody]
  ELSE LET small == Cardinality(Partitions) \div Cardinality(members)
           larger == Cardinality(Partitions) % Cardinality(members)
           rank == [m \in members |-> Cardinality({n \in members :
                      \/ Size(before, n) > Size(before, m)
                      \/ Size(before, n) = Size(before, m) /\ n < m})]
           quota == [m \in members |-> small + IF rank[m] < larger THEN 1 ELSE 0]
           kept == {p \in Partitions : before[p] \in members /\
                      Cardinality({q \in 0 .. p : before[q] = before[p]}) <= quota[before[p]]}
           room == [m \in members |-> quota[m] - Cardinality({p \in kept : before[p] = m})]
           first == [m \in members |-> Sum(room, {n \in members : rank[n] < rank[m]})]
           Taker(place) == CHOOSE m \in members : place \in first[m] .. first[m] + room[m] - 1
       IN [p \in Partitions |-> IF p \in kept THEN before[p]
                                ELSE Taker(Cardinality({q \in 0 .. p - 1 : q \notin kept}))]

Eligible(document) == document.members \ document.leaving

BalancedOver(members, assignment) ==
  IF members = {} THEN \A p \in Partitions : assignment[p] = Nobody
  ELSE /\ \A p \in Partitions : assignment[p] \in members
       /\ \A m, n \in members : Size(assignment, m) - Size(assignment, n) <= 1

IsBalanced(document) == BalancedOver(Eligible(document), document.assignment)

Moves(before, after, members) ==
  Cardinality({p \in Partitions : before[p] \in members /\ before[p] # after[p]})

MeantFor(document, member) == {p \in Partitions : document.assignment[p] = member}

-----------------------------------------------------------------------------
\* What may happen to a document. Whoever writes it gives it a new generation.

Rebalanced(d) == [d EXCEPT !.assignment = Assign(Eligible(d), @)]

AfterJoined(d, member) ==
  LET joined == [d EXCEPT !.members = @ \cup {member}]
  IN IF \E p \in Partitions : d.assignment[p] = Nobody THEN Rebalanced(joined) ELSE joined

AfterLeaving(d, member) == Rebalanced([d EXCEPT !.leaving = @ \cup {member}])

AfterGone(d, members) ==
  Rebalanced([d EXCEPT !.members = @ \ members, !.leaving = @ \ members, !.gone = @ \cup members])

Written(d, floor, version) == [d EXCEPT !.generation = floor + 1, !.version = version]

Founded(members) ==
  [generation |-> 1, version |-> 1, members |-> members, leaving |-> {}, gone |-> {},
   assignment |-> Assign(members, [p \in Partitions |-> Nobody])]
=============================================================================
