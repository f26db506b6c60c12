//! Hotplug events: what is to be added or removed.

use crate::open_enum;
use crate::papr::drc::DrcIndex;
use crate::wire::{Reader, Short};
use core::fmt;

open_enum! {
    /// What kind of resource is meant.
    ///
    /// Ref: LoPAR 10.3.2.2.13 (Table 164)
    pub Resource: u8 {
        /// A processor core.
        CPU = 1 => "cpu",
        /// Logical memory blocks.
        MEMORY = 2 => "memory",
        /// A slot.
        SLOT = 3 => "slot",
        /// A PCI host bridge.
        PHB = 4 => "phb",
        /// A PCI function.
        PCI = 5 => "pci",
        /// A persistent memory device.
        PMEM = 6 => "pmem",
    }
}

open_enum! {
    /// What is to be done with it.
    ///
    /// Ref: LoPAR 10.3.2.2.13 (Table 164)
    pub Action: u8 {
        /// Take it.
        ADD = 1 => "add",
        /// Give it back.
        REMOVE = 2 => "remove",
    }
}

open_enum! {
    /// How the resource is named.
    ///
    /// Ref: LoPAR 10.3.2.2.13 (Table 164)
    pub IdentifierKind: u8 {
        /// By the name of its connector.
        NAME = 1 => "name",
        /// By the index of its connector.
        INDEX = 2 => "index",
        /// Any, as many.
        COUNT = 3 => "count",
        /// As many, from that index on.
        COUNT_INDEXED = 4 => "count-indexed",
    }
}

/// Which resource is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier<'a> {
    /// The one with this connector.
    Index(DrcIndex),
    /// Any, as many.
    Count(u32),
    /// As many, from this connector on.
    CountIndexed {
        /// How many.
        count: u32,
        /// The first of them.
        first: DrcIndex,
    },
    /// The one with a connector of this name.
    Name(&'a [u8]),
    /// Something that this guest cannot follow.
    Unknown {
        /// How it is named.
        kind: IdentifierKind,
        /// The name.
        bytes: &'a [u8],
    },
}

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "index:{index}"),
            Self::Count(count) => write!(f, "count:{count}"),
            Self::CountIndexed { count, first } => write!(f, "count-indexed:{count}@{first}"),
            Self::Name(name) => write!(f, "name:{}", name.escape_ascii()),
            Self::Unknown { kind, bytes } => {
                write!(f, "unknown-{}:", kind.0)?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// The hotplug section.
///
/// Ref: LoPAR 10.3.2.2.13 (Table 164), QEMU hw/ppc/spapr_events.c (struct rtas_event_log_v6_hp)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hotplug<'a> {
    /// What kind of resource.
    pub resource: Resource,
    /// What is to be done with it.
    pub action: Action,
    /// Which one.
    pub id: Identifier<'a>,
}

impl<'a> Hotplug<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Short> {
        let resource = Resource(reader.u8("hotplug type")?);
        let action = Action(reader.u8("hotplug action")?);
        let kind = IdentifierKind(reader.u8("hotplug identifier type")?);
        reader.take(1, "reserved byte")?;
        Ok(Self { resource, action, id: identifier(reader, kind)? })
    }
}

fn identifier<'a>(reader: &mut Reader<'a>, kind: IdentifierKind) -> Result<Identifier<'a>, Short> {
    const WHAT: &str = "hotplug identifier";
    Ok(match kind {
        IdentifierKind::INDEX => Identifier::Index(DrcIndex(reader.u32(WHAT)?)),
        IdentifierKind::COUNT => Identifier::Count(reader.u32(WHAT)?),
        IdentifierKind::COUNT_INDEXED => {
            Identifier::CountIndexed { count: reader.u32(WHAT)?, first: DrcIndex(reader.u32(WHAT)?) }
        }
        // The section may be padded after the name's NUL, or end with the name.
        IdentifierKind::NAME => Identifier::Name(match reader.c_str(WHAT) {
            Ok(name) => name,
            Err(_) => reader.rest(),
        }),
        kind => Identifier::Unknown { kind, bytes: reader.rest() },
    })
}
