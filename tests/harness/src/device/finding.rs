//! What there is: which cores and which host bridges are free, and which connectors a device hangs on.

use super::{Kind, PERIPHERAL};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::stop::Stop;
use crate::trace::events;
use paprika::papr::drc::{DrcIndex, DrcKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The object that holds every connector, by its index in hexadecimal digits.
pub const CONNECTORS: &str = "/dr-connector";

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

/// The index of a host bridge whose connector holds nothing: the lowest one. A machine whose host bridges have no connectors
/// takes none, and says so when it is asked to: for it any index does.
pub(super) fn free_bridge(machine: &mut Machine) -> Result<Option<u32>, Stop> {
    let connectors = of_kind(machine, DrcKind::PHB)?;
    if connectors.is_empty() {
        return Ok(Some(1));
    }
    for index in connectors {
        if held(machine, index)?.is_none() {
            return Ok(Some(index.0 & 0x0fff_ffff));
        }
    }
    Ok(None)
}

/// The connectors of the device with this id, which was plugged last: those that hold it, as QMP says; else those to which
/// something was attached, as the trace says behind its first `before` bytes. None where neither knows.
pub fn connectors(machine: &mut Machine, id: &str, kind: Kind, before: usize) -> Result<Vec<DrcIndex>, Stop> {
    match holding(machine, id, kind) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(Stop::Qmp(QmpError::Refused { .. })) => {
            let trace = machine.trace();
            Ok(attached(trace.get(before..).unwrap_or_default(), kind.connector()))
        }
        Err(stop) => Err(stop),
    }
}

/// The connectors to which something was attached, as this trace says.
fn attached(trace: &str, kind: DrcKind) -> Vec<DrcIndex> {
    let attached = events(trace).filter(|event| event.name == "spapr_drc_attach");
    let found: BTreeSet<DrcIndex> = attached.filter_map(|event| event.connector()).collect();
    found.into_iter().filter(|index| index.kind() == kind).collect()
}

/// The connectors whose device is the one with this id, as QMP says.
fn holding(machine: &mut Machine, id: &str, kind: Kind) -> Result<Vec<DrcIndex>, Stop> {
    let path = format!("{PERIPHERAL}/{id}");
    let slot = if let Kind::Pci(_) = kind { Some(slot(machine, &path)?) } else { None };
    let mut found = Vec::new();
    for index in of_kind(machine, kind.connector())? {
        let fits = slot.is_none_or(|slot| index.0 & 0xff == slot);
        if fits && held(machine, index)?.as_deref() == Some(&path) {
            found.push(index);
        }
    }
    Ok(found)
}

/// Where a PCI function is on its bus: device and function. It is the end of its connector's index, which saves asking
/// hundreds of connectors.
///
/// Ref: QEMU hw/ppc/spapr_pci.c (drc_id_from_devfn)
fn slot(machine: &mut Machine, path: &str) -> Result<u32, Stop> {
    let address = machine.execute("qom-get", json!({ "path": path, "property": "addr" }))?;
    device_and_function(&address)
        .ok_or_else(|| Stop::Broken(format!("{path} is at {address}, which is no place")))
}

/// Reads `03.1`, or the number that it stands for.
fn device_and_function(address: &Value) -> Option<u32> {
    let Some(text) = address.as_str() else { return u32::try_from(address.as_u64()?).ok() };
    let (device, function) = text.split_once('.')?;
    Some(u32::from_str_radix(device, 16).ok()? << 3 | u32::from_str_radix(function, 16).ok()?)
}

/// All connectors of a kind, in the order of their indexes.
fn of_kind(machine: &mut Machine, kind: DrcKind) -> Result<Vec<DrcIndex>, Stop> {
    let listed = machine.execute("qom-list", json!({ "path": CONNECTORS }))?;
    let mut found = indexes(&listed);
    found.retain(|index| index.kind() == kind);
    found.sort_unstable();
    Ok(found)
}

/// The path of the device that a connector holds.
fn held(machine: &mut Machine, index: DrcIndex) -> Result<Option<String>, Stop> {
    let arguments = json!({ "path": format!("{CONNECTORS}/{:x}", index.0), "property": "device" });
    match machine.execute("qom-get", arguments) {
        Ok(device) => Ok(device.as_str().filter(|path| !path.is_empty()).map(str::to_owned)),
        // A connector without a device has no such property.
        Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// The connectors' indexes out of the answer to `qom-list`.
fn indexes(listed: &Value) -> Vec<DrcIndex> {
    let index = |entry: &Value| u32::from_str_radix(entry.get("name")?.as_str()?, 16).ok().map(DrcIndex);
    listed.as_array().into_iter().flatten().filter_map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, DrcKind, attached, device_and_function, free_core, indexes};
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

    #[test]
    fn the_trace_tells_what_was_attached() {
        let trace = "1@2.3:spapr_drc_attach drc: 0x80000005\n1@2.3:spapr_drc_attach drc: 0x10000001\n\
                     1@2.3:spapr_drc_reset drc: 0x80000006\n1@2.3:spapr_drc_attach drc: 0x80000004\n";
        assert_eq!(attached(trace, DrcKind::LMB), [DrcIndex(0x8000_0004), DrcIndex(0x8000_0005)]);
        assert_eq!(attached("", DrcKind::LMB), []);
    }

    #[test]
    fn an_address_is_text_or_a_number() {
        assert_eq!(device_and_function(&json!("03.1")), Some(0x19));
        assert_eq!(device_and_function(&json!("1f.7")), Some(0xff));
        assert_eq!(device_and_function(&json!(24)), Some(24));
        for odd in [json!("x"), json!("3"), json!("3.x"), json!(null), json!(-1)] {
            assert_eq!(device_and_function(&odd), None, "{odd}");
        }
    }
}
