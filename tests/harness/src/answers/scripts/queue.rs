//! Many events at once.

use crate::answers::bench::{Bench, Script};
use crate::device::{Kind, VIRTIO};
use crate::stop::Stop;
use paprika::log::Record;
use serde_json::json;

use super::as_it_is;

/// How many functions come at once.
const MANY: u32 = 16;

/// Many functions while the guest holds, told of by the dedicated source.
pub const FLOOD: Script = Script {
    name: "flood",
    story: "16 PCI functions come while the guest holds, told of by the dedicated source",
    append: "hold=handler-armed#1,idle#1",
    arrange: as_it_is,
    play: flood,
};
/// The same by EPOW.
pub const FLOOD_EPOW: Script = Script {
    name: "flood-epow",
    story: "16 PCI functions come while the guest holds, told of by EPOW, as the guest does not ask for hp-evt",
    append: "hold=handler-armed#1,idle#1 ov5=-hp-evt",
    arrange: as_it_is,
    play: flood,
};

fn flood(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("handler-armed")?;
    let (mut plugged, mut last) = (Vec::new(), None);
    for number in 0..MANY {
        // From the upper slots on, so that the order of the events is that of the plugs and no other.
        let place = json!({ "addr": format!("{:x}", 31 - number) });
        last = bench.plug_with(&format!("f{number}"), Kind::Pci(VIRTIO), &place)?;
        let connectors = last.iter().flat_map(|device| device.connectors.clone());
        plugged.extend(connectors.map(|connector| format!("index:{connector}")));
    }
    bench.go()?;
    bench.pass("idle")?;
    bench.settle(&last)?;
    let events = bench.all(|record| match record {
        Record::Event { action, id, .. } if action.0 == "add" => Some(id.to_string()),
        _ => None,
    });
    let irqs = bench.all(|record| match record {
        Record::Interrupt { irq: Some(irq), .. } => Some(format!("{:#x}", irq.0)),
        _ => None,
    });
    bench.facts.note("plugged", plugged);
    bench.facts.note("told", events);
    bench.facts.note("interrupts", irqs);
    Ok(())
}
