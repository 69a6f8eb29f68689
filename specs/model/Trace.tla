------------------------------- MODULE Trace --------------------------------
(***************************************************************************)
(* Whether what befell a lane in a run is a behaviour of the laws. Events  *)
(* are what the server executed, in its order: the request, the lane as it *)
(* became, and the reply; or that the server lost what it knew, and the    *)
(* lane became what it had been. Epochs and generations are ranks: only    *)
(* their order counts, and what the server's clock gave is the new epoch.  *)
(*                                                                         *)
(* The trace is accepted if there are as many states as events, and one.   *)
(***************************************************************************)
EXTENDS Lane, Sequences

CONSTANTS Beginning, Events
VARIABLES lane, been, at

Init == lane = Beginning /\ been = {Beginning} /\ at = 0

Executed(e) == Law(lane, e.request, e.clock) = [lane |-> e.lane, reply |-> e.reply]

Lost(e) == \E earlier \in been : e.lane = [earlier EXCEPT !.intact = FALSE]

Next ==
  /\ at < Len(Events)
  /\ LET e == Events[at + 1]
     IN /\ IF e.request = None THEN Lost(e) ELSE Executed(e)
        /\ lane' = e.lane
        /\ been' = been \cup {e.lane}
        /\ at' = at + 1

Spec == Init /\ [][Next]_<<lane, been, at>>
=============================================================================
