"""What is written to disk is there whole or not at all, whenever the process is killed or the disk is full.

A place is claimed before the work for it starts, filled out of sight, and put in place at once. The claims of killed
processes are cleared by the next command.
"""

from wheatstone._disk._change import Change as Change
from wheatstone._disk._change import changed as changed
from wheatstone._disk._change import finish_changes as finish_changes
from wheatstone._disk._claim import Claim as Claim
from wheatstone._disk._claim import claimed as claimed
from wheatstone._disk._claim import claimed_for as claimed_for
from wheatstone._disk._claim import clear_dead as clear_dead
from wheatstone._disk._claim import clear_place as clear_place
from wheatstone._disk._exchange import copied as copied
from wheatstone._disk._exchange import linked as linked
from wheatstone._disk._exchange import put as put
from wheatstone._disk._exchange import remove as remove
from wheatstone._disk._left_over import LeftOver as LeftOver
from wheatstone._disk._left_over import clear_left_over as clear_left_over
from wheatstone._disk._left_over import left_over as left_over
from wheatstone._disk._replace import NO_ROOM as NO_ROOM
from wheatstone._disk._replace import replaced as replaced
from wheatstone._disk._replace import system_errors as system_errors
from wheatstone._disk._replace import write_tensors as write_tensors
from wheatstone._disk._room import room_for as room_for
from wheatstone._disk._scratch import scratch_folder as scratch_folder
