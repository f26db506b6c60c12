#!/bin/sh
# Runs the races: all of them under VOF, then under SLOF those for which the firmware matters.
#
#   scripts/race.sh [OPTION...]     options of `paprika race`
#
# Both parts are run to their end; the status is the worse of the two.
paprika=target/debug/paprika
status=0
"$paprika" race "$@" || status=$?
"$paprika" race --firmware slof --window prelaunch,firmware,before-cas --action plug,unplug "$@" || status=$?
exit $status
