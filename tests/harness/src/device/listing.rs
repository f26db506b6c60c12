//! Listing: which devices QEMU has, by what each of its lists says.

use super::{CORE_LIST, HOST_BRIDGE, MEMORY_LIST};
use crate::machine::Machine;
use crate::stop::Stop;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where QEMU keeps the devices that were given an id.
pub const PERIPHERAL: &str = "/machine/peripheral";

/// The ids of the devices that QMP lists. Memory, cores and PCI functions have lists of their own; host bridges have
/// none that gives their ids, so that they are looked for among all objects.
pub fn listed(machine: &mut Machine) -> Result<BTreeSet<String>, Stop> {
    let memory = machine.execute(MEMORY_LIST, json!({}))?;
    let cores = machine.execute(CORE_LIST, json!({}))?;
    let functions = machine.execute("query-pci", json!({}))?;
    let objects = machine.execute("qom-list", json!({ "path": PERIPHERAL }))?;
    let mut ids = BTreeSet::new();
    ids.extend(of_memory(&memory));
    ids.extend(of_cores(&cores));
    of_functions(&functions, &mut ids);
    ids.extend(of_bridges(&objects));
    Ok(ids)
}

fn entries(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.as_array().into_iter().flatten()
}

/// The ids in an answer to [`MEMORY_LIST`].
pub fn of_memory(answer: &Value) -> impl Iterator<Item = String> {
    entries(answer).filter_map(|device| device.get("data")?.get("id")?.as_str()).map(str::to_owned)
}

/// The ids in an answer to [`CORE_LIST`].
pub fn of_cores(answer: &Value) -> impl Iterator<Item = String> {
    entries(answer).filter_map(|slot| id_of(slot.get("qom-path")?.as_str()?)).map(str::to_owned)
}

/// The id of the device that an object is, or is a part of.
pub fn id_of(path: &str) -> Option<&str> {
    path.strip_prefix(PERIPHERAL)?.strip_prefix('/')?.split('/').next()
}

/// The functions of every bus, and of the buses behind them.
fn of_functions(buses: &Value, ids: &mut BTreeSet<String>) {
    for bus in entries(buses) {
        let devices = bus.get("devices").unwrap_or(&Value::Null);
        let with_id = entries(devices).filter_map(|device| device.get("qdev_id")?.as_str());
        ids.extend(with_id.filter(|id| !id.is_empty()).map(str::to_owned));
        for bridge in entries(devices).filter_map(|device| device.get("pci_bridge")) {
            of_functions(&json!([bridge]), ids);
        }
    }
}

fn of_bridges(objects: &Value) -> impl Iterator<Item = String> {
    let class = format!("child<{HOST_BRIDGE}>");
    let bridges =
        entries(objects).filter(move |object| object.get("type").is_some_and(|found| *found == class));
    bridges.filter_map(|object| object.get("name")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{of_bridges, of_cores, of_functions, of_memory};
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn memory_and_cores_are_found_by_id() {
        let memory =
            json!([{"type": "dimm", "data": {"id": "first", "size": 1}}, {"type": "nvdimm", "data": {}}]);
        assert_eq!(of_memory(&memory).collect::<Vec<_>>(), ["first"]);
        let cores = json!([
            {"qom-path": "/machine/peripheral/second", "type": "t"},
            {"qom-path": "/machine/unattached/device[0]", "type": "t"},
            {"type": "t"},
        ]);
        assert_eq!(of_cores(&cores).collect::<Vec<_>>(), ["second"]);
    }

    #[test]
    fn functions_are_found_on_every_bus() {
        let buses = json!([
            {"bus": 0, "devices": [
                {"qdev_id": "rng", "slot": 1},
                {"qdev_id": "", "slot": 2},
                {"qdev_id": "bridge", "pci_bridge": {"bus": {"number": 0}, "devices": [{"qdev_id": "behind"}]}},
                {"qdev_id": "empty", "pci_bridge": {"bus": {"number": 0}}},
            ]},
            {"bus": 0, "devices": []},
            {},
        ]);
        let mut ids = BTreeSet::new();
        of_functions(&buses, &mut ids);
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["behind", "bridge", "empty", "rng"]);
    }

    #[test]
    fn host_bridges_are_found_among_all_objects() {
        let objects = json!([
            {"name": "phb", "type": "child<spapr-pci-host-bridge>"},
            {"name": "rng", "type": "child<virtio-rng-pci>"},
            {"name": "type", "type": "string"},
        ]);
        assert_eq!(of_bridges(&objects).collect::<Vec<_>>(), ["phb"]);
    }
}
