------------------------------- MODULE Table --------------------------------
(***************************************************************************)
(* The transition table of a partition for one member: TABLE of            *)
(* segmenter/core/transitions.py, row by row. A test compares the two.     *)
(***************************************************************************)
EXTENDS TLC

Rows == [
  FREE |->
    "ASSIGNED"   :> <<"CLAIMING", "CLAIM">> @@
    "WANTED"     :> <<"RELEASING", "RELEASE">>,
  CLAIMING |->
    "GRANTED"    :> <<"OWNED", "FETCH">> @@
    "HELD"       :> <<"WAITING", "WAIT">> @@
    "CHANGED"    :> <<"CLAIMING", "CLAIM">> @@
    "BEHIND"     :> <<"WAITING", "REFRESH">> @@
    "UNANSWERED" :> <<"CLAIMING", "REPEAT">> @@
    "REVOKED"    :> <<"ABANDONING", "NONE">> @@
    "DROPPED"    :> <<"FREE", "NONE">>,
  WAITING |->
    "POKED"      :> <<"CLAIMING", "CLAIM">> @@
    "REVOKED"    :> <<"FREE", "NONE">> @@
    "DROPPED"    :> <<"FREE", "NONE">>,
  OWNED |->
    "REVOKED"    :> <<"DRAINING", "STOP">> @@
    "REFUSED"    :> <<"FREE", "LOSE">> @@
    "DROPPED"    :> <<"FREE", "LOSE">>,
  DRAINING |->
    "DRAINED"    :> <<"RELEASING", "RELEASE">> @@
    "REFUSED"    :> <<"FREE", "LOSE">> @@
    "DROPPED"    :> <<"FREE", "LOSE">>,
  RELEASING |->
    "RELEASED"   :> <<"FREE", "FREED">> @@
    "FENCED"     :> <<"FREE", "REFRESH">> @@
    "ORPHANED"   :> <<"RELEASING", "RELEASE">> @@
    "UNANSWERED" :> <<"RELEASING", "REPEAT">> @@
    "DROPPED"    :> <<"FREE", "NONE">>,
  ABANDONING |->
    "ASSIGNED"   :> <<"CLAIMING", "NONE">> @@
    "GRANTED"    :> <<"RELEASING", "RELEASE">> @@
    "HELD"       :> <<"FREE", "NONE">> @@
    "CHANGED"    :> <<"FREE", "NONE">> @@
    "BEHIND"     :> <<"FREE", "NONE">> @@
    "UNANSWERED" :> <<"RELEASING", "ABANDON">> @@
    "DROPPED"    :> <<"FREE", "NONE">>]

Ignored == {"ASSIGNED", "REVOKED", "POKED", "WANTED", "REFUSED", "DROPPED"}
=============================================================================
