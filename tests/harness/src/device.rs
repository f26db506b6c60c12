//! What can be plugged, how it is plugged, and which connectors it hangs on.
//!
//! Nothing here is computed that QEMU can be asked: core types and core ids come from `query-hotpluggable-cpus`, the
//! connectors of a device from the object tree.

use crate::machine::Machine;
use crate::qemu::command::object_add_is_flat;
use crate::stop::Stop;
use paprika::papr::drc::{DrcIndex, DrcKind};
use serde_json::{Map, Value, json};
use std::fmt;

/// The smallest DIMM: one logical memory block.
pub const LMB_BYTES: u64 = 256 << 20;

/// The object that holds every connector, by its index in hexadecimal digits.
const CONNECTORS: &str = "/dr-connector";

/// What kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory of so many bytes, a multiple of [`LMB_BYTES`].
    Dimm(u64),
    /// The next core that is free.
    Core,
}

impl Kind {
    /// The kind of its connectors.
    pub fn connector(self) -> DrcKind {
        match self {
            Self::Dimm(_) => DrcKind::LMB,
            Self::Core => DrcKind::CPU,
        }
    }

    /// Whether QMP has a list that names such devices.
    pub const fn is_listed(self) -> bool {
        matches!(self, Self::Dimm(_) | Self::Core)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimm(bytes) => write!(f, "DIMM of {} MiB", bytes >> 20),
            Self::Core => f.write_str("core"),
        }
    }
}

/// A core that could be plugged.
#[derive(Clone, Debug, PartialEq)]
pub struct FreeCore {
    /// The driver for `device_add`.
    pub driver: String,
    /// The properties that say which one it is.
    pub properties: Map<String, Value>,
}

/// The free core with the lowest number, out of the answer to `query-hotpluggable-cpus`.
pub fn free_core(answer: &Value) -> Option<FreeCore> {
    let core = |slot: &Value| -> Option<(u64, FreeCore)> {
        if slot.get("qom-path").is_some() {
            return None;
        }
        let properties = slot.get("props")?.as_object()?.clone();
        let number = properties.get("core-id")?.as_u64()?;
        Some((number, FreeCore { driver: slot.get("type")?.as_str()?.to_owned(), properties }))
    };
    answer.as_array()?.iter().filter_map(core).min_by_key(|(number, _)| *number).map(|(_, core)| core)
}

/// The name of a DIMM's backend.
fn backend(id: &str) -> String {
    format!("{id}-memory")
}

/// Plugs a device and returns the connectors that it hangs on, in the order of their indexes.
pub fn plug(machine: &mut Machine, id: &str, kind: Kind) -> Result<Vec<DrcIndex>, Stop> {
    let mut arguments = Map::from_iter([("id".to_owned(), json!(id))]);
    let driver = match kind {
        Kind::Dimm(bytes) => {
            add_backend(machine, &backend(id), bytes)?;
            arguments.insert("memdev".into(), json!(backend(id)));
            "pc-dimm".to_owned()
        }
        Kind::Core => {
            let slots = machine.execute("query-hotpluggable-cpus", json!({}))?;
            let core =
                free_core(&slots).ok_or_else(|| Stop::Broken("no core is free: raise maxcpus".into()))?;
            arguments.extend(core.properties);
            core.driver
        }
    };
    machine.tell(&format!("device_add {driver} id={id}"));
    arguments.insert("driver".into(), json!(driver));
    machine.execute("device_add", Value::Object(arguments))?;
    connectors(machine, id, kind)
}

/// Asks for a device back.
pub fn unplug(machine: &mut Machine, id: &str) -> Result<(), Stop> {
    machine.tell(&format!("device_del id={id}"));
    machine.execute("device_del", json!({ "id": id })).map(drop)
}

/// Removes what a device leaves behind when it is gone.
pub fn clean_up(machine: &mut Machine, id: &str, kind: Kind) -> Result<(), Stop> {
    match kind {
        Kind::Dimm(_) => machine.execute("object-del", json!({ "id": backend(id) })).map(drop),
        Kind::Core => Ok(()),
    }
}

fn add_backend(machine: &mut Machine, id: &str, bytes: u64) -> Result<(), Stop> {
    let arguments = if object_add_is_flat(machine.version()) {
        json!({ "qom-type": "memory-backend-ram", "id": id, "size": bytes })
    } else {
        json!({ "qom-type": "memory-backend-ram", "id": id, "props": { "size": bytes } })
    };
    machine.execute("object-add", arguments).map(drop)
}

/// The connectors whose device is the one with this id.
fn connectors(machine: &mut Machine, id: &str, kind: Kind) -> Result<Vec<DrcIndex>, Stop> {
    let listed = machine.execute("qom-list", json!({ "path": CONNECTORS }))?;
    let path = format!("/machine/peripheral/{id}");
    let mut found = Vec::new();
    for index in indexes(&listed).into_iter().filter(|index| index.kind() == kind.connector()) {
        let arguments = json!({ "path": format!("{CONNECTORS}/{:x}", index.0), "property": "device" });
        match machine.execute("qom-get", arguments) {
            Ok(device) if device.as_str() == Some(&path) => found.push(index),
            // A connector without a device has no such property.
            Ok(_) | Err(Stop::Qmp(crate::qmp::QmpError::Refused { .. })) => {}
            Err(stop) => return Err(stop),
        }
    }
    found.sort_unstable();
    if found.is_empty() {
        return Err(Stop::Broken(format!("QEMU took `{id}`, but no connector holds it")));
    }
    Ok(found)
}

/// The connectors' indexes out of the answer to `qom-list`.
fn indexes(listed: &Value) -> Vec<DrcIndex> {
    let index = |entry: &Value| u32::from_str_radix(entry.get("name")?.as_str()?, 16).ok().map(DrcIndex);
    listed.as_array().into_iter().flatten().filter_map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, free_core, indexes};
    use serde_json::json;

    #[test]
    fn the_free_core_with_the_lowest_number_is_taken() {
        let answer = json!([
            {"props": {"core-id": 16, "node-id": 0}, "vcpus-count": 1, "type": "power9_v2.0-spapr-cpu-core"},
            {"props": {"core-id": 8, "node-id": 0}, "vcpus-count": 1, "type": "power9_v2.0-spapr-cpu-core"},
            {"props": {"core-id": 0}, "vcpus-count": 1, "qom-path": "/machine/x", "type": "power9_v2.0-spapr-cpu-core"},
        ]);
        let core = free_core(&answer).expect("one is free");
        assert_eq!(core.driver, "power9_v2.0-spapr-cpu-core");
        assert_eq!(core.properties.get("core-id"), Some(&json!(8)));
        assert_eq!(core.properties.get("node-id"), Some(&json!(0)));
    }

    #[test]
    fn a_full_or_odd_answer_has_no_free_core() {
        let full = json!([{"props": {"core-id": 0}, "qom-path": "/machine/x", "type": "t"}]);
        assert_eq!(free_core(&full), None);
        for odd in [json!(null), json!({}), json!([{}]), json!([{"props": {"core-id": "x"}, "type": "t"}])] {
            assert_eq!(free_core(&odd), None, "{odd}");
        }
    }

    #[test]
    fn only_hexadecimal_names_are_connectors() {
        let listed = json!([{"name": "type"}, {"name": "80000004"}, {"name": "10000001"}, {}]);
        assert_eq!(indexes(&listed), [DrcIndex(0x8000_0004), DrcIndex(0x1000_0001)]);
    }
}
