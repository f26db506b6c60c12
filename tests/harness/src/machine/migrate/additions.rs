//! Additions: what was plugged since QEMU was started, as the command line of a second QEMU has to name it.
//!
//! A second QEMU would give places of its own choice, so every addition is told where it is.

use crate::device::PERIPHERAL;
use crate::machine::Machine;
use crate::stop::Stop;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where QEMU keeps the objects that are no devices.
const OBJECTS: &str = "/objects";
/// The properties that say where a device is: in memory or on its bus, and in which slot.
const PLACES: [&str; 2] = ["addr", "slot"];

/// Something that was added to a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// Its id.
    pub id: String,
    /// The option that adds it on the command line.
    option: &'static str,
    /// What it is: a driver, or a class.
    class: String,
    /// Its properties.
    pub properties: Map<String, Value>,
}

impl Addition {
    /// What this command of QMP adds; nothing where it adds nothing.
    pub(in crate::machine) fn of(command: &str, arguments: &Value) -> Option<Self> {
        let (option, key) = match command {
            "device_add" => ("-device", "driver"),
            "object-add" => ("-object", "qom-type"),
            _ => return None,
        };
        let mut properties = arguments.as_object()?.clone();
        // The older form of `object-add`.
        if let Some(Value::Object(nested)) = properties.remove("props") {
            properties.extend(nested);
        }
        let text = |value: Value| value.as_str().map(str::to_owned);
        let (id, class) = (text(properties.remove("id")?)?, text(properties.remove(key)?)?);
        Some(Self { id, option, class, properties })
    }

    /// Whether it is a device, and not an object that one needs.
    pub fn is_device(&self) -> bool {
        self.option == "-device"
    }

    /// Its words on the command line.
    pub(super) fn words(&self) -> [String; 2] {
        let properties = self.properties.iter().map(|(name, value)| format!(",{name}={}", word(value)));
        let value = format!("{},id={}{}", self.class, self.id, properties.collect::<String>());
        [self.option.to_owned(), value]
    }
}

/// A value as it stands on the command line.
fn word(value: &Value) -> String {
    match value {
        Value::Bool(on) => (if *on { "on" } else { "off" }).to_owned(),
        Value::String(text) => text.replace(',', ",,"),
        other => other.to_string(),
    }
}

/// The place of a device by this property, as it is written on the command line.
fn place(class: &str, property: &str, value: Value) -> Value {
    let is_memory = class.contains("dimm");
    match (property, value.as_u64()) {
        // A place on a bus: device and function.
        ("addr", Some(number)) if !is_memory => json!(format!("{:x}.{:x}", number >> 3, number & 7)),
        _ => value,
    }
}

impl Addition {
    /// The devices in the other order; what they need still comes first.
    pub fn turn_round(additions: &mut [Self]) {
        additions.reverse();
        additions.sort_by_key(Self::is_device);
    }
}

impl Machine {
    /// What was added and is still there, each with its place; what others need comes first.
    pub(super) fn present_additions(&mut self) -> Result<Vec<Addition>, Stop> {
        let (devices, objects) = (self.children(PERIPHERAL)?, self.children(OBJECTS)?);
        let mut present: Vec<Addition> = Vec::new();
        for addition in self.additions.clone() {
            let there = if addition.is_device() { &devices } else { &objects };
            present.retain(|other| other.id != addition.id || other.option != addition.option);
            if there.contains(&addition.id) {
                present.push(addition);
            }
        }
        for device in present.iter_mut().filter(|addition| addition.is_device()) {
            let path = format!("{PERIPHERAL}/{}", device.id);
            for property in PLACES {
                let found = self.ask("qom-get", json!({ "path": path, "property": property }))?;
                let found = found.map(|value| (property.to_owned(), place(&device.class, property, value)));
                device.properties.extend(found);
            }
        }
        Ok(present)
    }

    /// The names of what is kept at a path of the object tree.
    fn children(&mut self, path: &str) -> Result<BTreeSet<String>, Stop> {
        let listed = self.execute("qom-list", json!({ "path": path }))?;
        let names = listed.as_array().into_iter().flatten().filter_map(|child| child.get("name")?.as_str());
        Ok(names.map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Addition, place};
    use serde_json::json;

    #[test]
    fn what_was_added_by_qmp_is_named_on_the_command_line() {
        let words = |command: &str, arguments| {
            Addition::of(command, &arguments).map(|addition| addition.words().join(" "))
        };
        let dimm = json!({"driver": "pc-dimm", "id": "d", "memdev": "m", "addr": 1 << 30});
        assert_eq!(
            words("device_add", dimm).as_deref(),
            Some("-device pc-dimm,id=d,addr=1073741824,memdev=m")
        );
        let file = json!({"qom-type": "memory-backend-file", "id": "m", "mem-path": "/a,b", "share": true});
        let wanted = "-object memory-backend-file,id=m,mem-path=/a,,b,share=on";
        assert_eq!(words("object-add", file).as_deref(), Some(wanted));
        let old = json!({"qom-type": "memory-backend-ram", "id": "m", "props": {"size": 5}});
        assert_eq!(words("object-add", old).as_deref(), Some("-object memory-backend-ram,id=m,size=5"));
        assert_eq!(words("device_del", json!({"id": "d"})), None);
    }

    #[test]
    fn a_place_on_a_bus_is_written_as_device_and_function() {
        assert_eq!(place("virtio-rng-pci", "addr", json!(0x29)), json!("5.1"));
        assert_eq!(place("virtio-rng-pci", "addr", json!("05.1")), json!("05.1"));
        assert_eq!(place("pc-dimm", "addr", json!(1 << 30)), json!(1 << 30));
        assert_eq!(place("pc-dimm", "slot", json!(3)), json!(3));
    }
}
