//! What the host does in many trials.

use crate::defects::Step;
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::scenario::{Run, is_deletion, power_down};
use crate::stop::Stop;
use crate::trials::seen::reach;
use paprika::log::Record;

/// Where a device is plugged that an event has to tell of.
pub(crate) const ARMED: &str = "handler-armed";
/// The boot argument that makes the guest hold there.
pub(crate) const HOLD_ARMED: &str = "hold=handler-armed";
/// The same for trials in which memory is only a means.
pub(crate) const QUICK: &str = "hold=handler-armed memtest=1m";

/// Comes to the place where events begin to tell.
pub(crate) fn arm(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    reach(machine, ARMED)?;
    run.turn_to(Step::Plug);
    Ok(())
}

/// Lets the guest take what was plugged.
pub(crate) fn take(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    machine.go()?;
    run.wait_until_taken(machine)
}

/// Asks the guest to end.
pub(crate) fn leave(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    run.turn_to(Step::PowerDown);
    power_down(machine)
}

/// Plugs devices while the guest holds before its first drain, and waits until it has taken them.
pub(crate) fn plugged_when_armed(
    run: &mut Run,
    machine: &mut Machine,
    devices: &[(&str, Kind)],
) -> Result<(), Stop> {
    arm(run, machine)?;
    for (id, kind) in devices {
        run.plug(machine, id, *kind, ARMED)?;
    }
    take(run, machine)
}

/// Waits until a device has gone, of QEMU's events from the `from`-th on, and removes what it leaves behind.
pub(crate) fn gone(machine: &mut Machine, id: &str, kind: Kind, from: usize) -> Result<(), Stop> {
    machine.wait_for_event(&format!("the end of `{id}`"), from, |event| is_deletion(event, id))?;
    device::clean_up(machine, id, kind)
}

/// Has the guest look into its queue; how many events there were.
pub(crate) fn poll(machine: &mut Machine) -> Result<u32, Stop> {
    let from = machine.transcript().mark();
    machine.say("poll")?;
    machine.wait("the answer to `poll`", |machine| {
        machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::Drain { events, .. } => Some(events),
            _ => None,
        })
    })
}
