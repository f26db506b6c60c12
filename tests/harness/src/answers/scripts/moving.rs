//! The machine moves into a second QEMU.

use super::DIMM;
use crate::answers::bench::{Bench, Script};
use crate::device::{Kind, LMB_BYTES};
use crate::machine::{Addition, Journey, keep_awake};
use crate::stop::Stop;

/// An acquire that is half done when the machine moves.
pub const HALF_MOVED: Script = Script {
    name: "half-moved",
    story: "a DIMM comes, and the machine moves between the first and the second step of the guest",
    append: "hold=idle#1,after-step#1 memtest=1m",
    arrange: keep_awake,
    play: |bench| {
        bench.pass("idle")?;
        let dimm = bench.plug("dimm", DIMM)?;
        bench.hold("after-step")?;
        go_over(bench, |_| {})?;
        bench.go()?;
        bench.settle(&dimm)?;
        bench.fate(&dimm);
        bench.ask("dimm")
    },
};
/// DIMMs on the destination's command line, in the order in which they came.
pub const SAME_ORDER: Script = Script {
    name: "dimms-same-order",
    story: "DIMMs of one, two and one block come, and the machine moves; the destination has them in the same order",
    append: "hold=idle#1 memtest=1m",
    arrange: keep_awake,
    play: |bench| dimms(bench, |_| {}),
};
/// The same in the other order.
pub const OTHER_ORDER: Script = Script {
    name: "dimms-other-order",
    story: "the same, in the other order",
    play: |bench| dimms(bench, Addition::turn_round),
    ..SAME_ORDER
};

fn dimms(bench: &mut Bench<'_>, arrange: fn(&mut [Addition])) -> Result<(), Stop> {
    const DIMMS: [(&str, u64); 3] = [("small", 1), ("large", 2), ("last", 1)];
    bench.pass("idle")?;
    for (id, blocks) in DIMMS {
        let dimm = bench.plug(id, Kind::Dimm(blocks * LMB_BYTES))?;
        bench.settle(&dimm)?;
        bench.fate(&dimm);
    }
    go_over(bench, arrange)?;
    for (id, _) in DIMMS {
        bench.ask(id)?;
    }
    Ok(())
}

/// Moves, and notes how much the guest finds otherwise than it was (`odd`).
fn go_over(bench: &mut Bench<'_>, arrange: fn(&mut [Addition])) -> Result<(), Stop> {
    bench.machine.migrate(&Journey { arrange, ..Journey::default() })?;
    let odd = bench.machine.tell_of_move()?;
    bench.facts.note("odd", odd);
    Ok(())
}
