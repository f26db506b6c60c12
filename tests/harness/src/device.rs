//! What can be plugged, how it is plugged, and which connectors it hangs on.
//!
//! Nothing here is computed that QEMU can be asked: core types and core ids come from `query-hotpluggable-cpus`, the
//! connectors of a device from the object tree.

mod family;
mod finding;
mod listing;

pub use family::Family;
pub use finding::{CONNECTORS, FreeCore, connectors, free_core};
pub use listing::{PERIPHERAL, id_of, listed, of_cores, of_memory};

use crate::machine::Machine;
use crate::qemu::command::object_add_is_flat;
use crate::stop::Stop;
use finding::free_bridge;
use paprika::papr::drc::{DrcIndex, DrcKind};
use serde_json::{Map, Value, json};
use std::fmt;
use std::path::PathBuf;

/// The smallest DIMM: one logical memory block. The same is the smallest block of persistent memory.
pub const LMB_BYTES: u64 = 256 << 20;

/// A PCI function that every QEMU has, and with which the guest can speak.
pub const VIRTIO: &str = "virtio-rng-pci";
/// A PCI function of another kind: a network card with a status register.
pub const E1000: &str = "e1000";

/// The command that lists memory.
pub const MEMORY_LIST: &str = "query-memory-devices";
/// The command that lists cores, and what could be plugged: QEMU since 2.7.
pub const CORE_LIST: &str = "query-hotpluggable-cpus";

/// The driver of a PCI host bridge.
const HOST_BRIDGE: &str = "spapr-pci-host-bridge";
/// The bus on which a PCI function is plugged where nobody says otherwise: that of the host bridge that is always there.
const FIRST_BUS: &str = "pci.0";

/// Bytes at the end of a persistent memory device that hold its metadata.
pub const LABEL_BYTES: u64 = 1 << 20;

/// What kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory of so many bytes, a multiple of [`LMB_BYTES`].
    Dimm(u64),
    /// The next core that is free.
    Core,
    /// A PCI function that this driver models, as [`VIRTIO`].
    Pci(&'static str),
    /// A PCI host bridge with the first index that is free.
    Phb,
    /// Persistent memory of so many bytes, a multiple of [`LMB_BYTES`], in a file of the machine's private directory.
    Nvdimm(u64),
}

impl Kind {
    /// The kind of its connectors.
    pub fn connector(self) -> DrcKind {
        match self {
            Self::Dimm(_) => DrcKind::LMB,
            Self::Core => DrcKind::CPU,
            Self::Pci(_) => DrcKind::PCI,
            Self::Phb => DrcKind::PHB,
            Self::Nvdimm(_) => DrcKind::PMEM,
        }
    }

    /// Whether a guest that un-isolates what it is asked for tells the platform that it keeps it. That is so for logical
    /// connectors; those of PCI functions have no such meaning, and the request stays open.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_unisolate_logical, drc_unisolate_physical)
    pub const fn can_be_refused(self) -> bool {
        !matches!(self, Self::Pci(_))
    }

    /// The command of QMP that lists such devices by their ids, where there is one.
    pub const fn list(self) -> Option<&'static str> {
        match self {
            Self::Dimm(_) | Self::Nvdimm(_) => Some(MEMORY_LIST),
            Self::Core => Some(CORE_LIST),
            Self::Pci(_) | Self::Phb => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimm(bytes) => write!(f, "DIMM of {} MiB", bytes >> 20),
            Self::Core => f.write_str("core"),
            Self::Pci(driver) => f.write_str(driver),
            Self::Phb => f.write_str("PCI host bridge"),
            Self::Nvdimm(bytes) => write!(f, "NVDIMM of {} MiB", bytes >> 20),
        }
    }
}

/// The name of the backend of a device's memory.
fn backend(id: &str) -> String {
    format!("{id}-memory")
}

/// The file of a persistent memory device.
pub fn file(machine: &Machine, id: &str) -> PathBuf {
    machine.directory().join(format!("{id}.nvdimm"))
}

/// Properties by their names.
type Properties = Map<String, Value>;

/// Plugs a device and returns the connectors that it hangs on, in the order of their indexes.
pub fn plug(machine: &mut Machine, id: &str, kind: Kind) -> Result<Vec<DrcIndex>, Stop> {
    plug_with(machine, id, kind, &json!({}))
}

/// Plugs a device with further properties, and returns the connectors that it hangs on, in the order of their indexes.
pub fn plug_with(
    machine: &mut Machine,
    id: &str,
    kind: Kind,
    further: &Value,
) -> Result<Vec<DrcIndex>, Stop> {
    let before = machine.trace().len();
    add(machine, id, kind, further)?;
    let connectors = connectors(machine, id, kind, before)?;
    if connectors.is_empty() {
        return Err(Stop::Broken(format!("QEMU took `{id}`, but no connector holds it")));
    }
    Ok(connectors)
}

/// Plugs a device with further properties, an object: they come before those that follow from its kind.
pub fn add(machine: &mut Machine, id: &str, kind: Kind, further: &Value) -> Result<(), Stop> {
    let (driver, mut arguments) = match kind {
        Kind::Dimm(bytes) => dimm(machine, id, bytes)?,
        Kind::Core => core(machine)?,
        // What a card's ROM holds is for firmware, and not every QEMU was packaged with it.
        Kind::Pci(driver) => (driver.to_owned(), properties(&json!({ "bus": FIRST_BUS, "romfile": "" }))),
        Kind::Phb => bridge(machine)?,
        Kind::Nvdimm(bytes) => nvdimm(machine, id, bytes)?,
    };
    arguments.extend(properties(further));
    let words: Vec<String> = [&driver, &format!("id={id}")]
        .into_iter()
        .cloned()
        .chain(properties(further).iter().map(|(name, value)| format!("{name}={}", word(value))))
        .collect();
    machine.tell(&format!("device_add {}", words.join(" ")));
    arguments.extend([("driver".to_owned(), json!(driver)), ("id".to_owned(), json!(id))]);
    machine.execute("device_add", Value::Object(arguments)).map(drop)
}

/// Asks for a device back.
pub fn unplug(machine: &mut Machine, id: &str) -> Result<(), Stop> {
    machine.tell(&format!("device_del id={id}"));
    machine.execute("device_del", json!({ "id": id })).map(drop)
}

/// Removes what a device leaves behind when it is gone.
pub fn clean_up(machine: &mut Machine, id: &str, kind: Kind) -> Result<(), Stop> {
    match kind {
        Kind::Dimm(_) | Kind::Nvdimm(_) => {
            machine.execute("object-del", json!({ "id": backend(id) })).map(drop)
        }
        Kind::Core | Kind::Pci(_) | Kind::Phb => Ok(()),
    }
}

fn properties(object: &Value) -> Properties {
    object.as_object().cloned().unwrap_or_default()
}

/// A value as it is typed at the monitor.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn dimm(machine: &mut Machine, id: &str, bytes: u64) -> Result<(String, Properties), Stop> {
    add_object(machine, "memory-backend-ram", &backend(id), json!({ "size": bytes }))?;
    Ok(("pc-dimm".to_owned(), properties(&json!({ "memdev": backend(id) }))))
}

fn core(machine: &mut Machine) -> Result<(String, Properties), Stop> {
    let slots = machine.execute(CORE_LIST, json!({}))?;
    let core = free_core(&slots).ok_or_else(|| Stop::Broken("no core is free: raise maxcpus".into()))?;
    Ok((core.driver, core.properties))
}

fn bridge(machine: &mut Machine) -> Result<(String, Properties), Stop> {
    let index = free_bridge(machine)?;
    let index = index.ok_or_else(|| Stop::Broken("no PCI host bridge is free".into()))?;
    Ok((HOST_BRIDGE.to_owned(), properties(&json!({ "index": index }))))
}

fn nvdimm(machine: &mut Machine, id: &str, bytes: u64) -> Result<(String, Properties), Stop> {
    let path = file(machine, id);
    let size = bytes + LABEL_BYTES;
    // What is written has to be found again in the file.
    let file = json!({ "size": size, "mem-path": path.to_string_lossy(), "share": true });
    add_object(machine, "memory-backend-file", &backend(id), file)?;
    let rest = json!({ "memdev": backend(id), "label-size": LABEL_BYTES, "uuid": uuid(id) });
    Ok(("nvdimm".to_owned(), properties(&rest)))
}

/// A UUID that is the same whenever a device of this id is plugged: the first 16 bytes of the id.
fn uuid(id: &str) -> String {
    let bytes: Vec<u8> = id.bytes().chain(std::iter::repeat(0)).take(16).collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default().to_owned());
    parts.join("-")
}

/// Creates an object, in the form that this version of QEMU takes.
pub fn add_object(machine: &mut Machine, class: &str, id: &str, what: Value) -> Result<(), Stop> {
    let arguments = if object_add_is_flat(machine.version()) {
        let mut arguments = properties(&what);
        arguments.extend([("qom-type".to_owned(), json!(class)), ("id".to_owned(), json!(id))]);
        Value::Object(arguments)
    } else {
        json!({ "qom-type": class, "id": id, "props": what })
    };
    machine.execute("object-add", arguments).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Kind, uuid};
    use paprika::papr::drc::DrcKind;

    #[test]
    fn a_uuid_follows_from_the_id() {
        assert_eq!(uuid("nv"), "6e760000-0000-0000-0000-000000000000");
        assert_eq!(uuid("0123456789abcdefghi"), "30313233-3435-3637-3839-616263646566");
    }

    #[test]
    fn every_kind_has_connectors_of_its_own() {
        let kinds = [Kind::Dimm(1), Kind::Core, Kind::Pci("x"), Kind::Phb, Kind::Nvdimm(1)];
        let connectors = kinds.map(Kind::connector);
        assert_eq!(connectors, [DrcKind::LMB, DrcKind::CPU, DrcKind::PCI, DrcKind::PHB, DrcKind::PMEM]);
    }
}
