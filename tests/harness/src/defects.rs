//! Known defects of released QEMUs: a run that meets one is no news, and no failure.
//!
//! A defect is tied to what the host does when it shows, so every scenario that does that is expected to meet it. Each has
//! its finding in FINDINGS.md, with the command that shows it; a test holds the two against each other.

use crate::device::Kind;
use crate::qemu::Version;
use std::fmt;

/// What the host was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Starting QEMU, and waiting for the guest's first words.
    Boot,
    /// Plugging, and waiting until the guest has taken it.
    Plug,
    /// Asking a DIMM back.
    UnplugDimm,
    /// Asking back a core on which code has run.
    UnplugCore,
    /// Asking back a PCI function.
    UnplugPci,
    /// Asking back a PCI host bridge.
    UnplugPhb,
    /// Asking back persistent memory.
    UnplugNvdimm,
    /// Plugging a DIMM, resetting, or migrating, after a core went away.
    AfterCore,
    /// Plugging more cores than `maxcpus` has room for, counted with those that went away.
    PlugBeyond,
    /// Plugging a PCI function where another one is.
    PlugOnOccupied,
    /// Letting the guest write to memory that can only be read.
    WriteReadOnly,
    /// Asking once more for a DIMM of which some blocks have gone and others have not.
    UnplugTorn,
    /// Plugging a PCI host bridge just when another went away.
    AfterPhb,
    /// Moving the machine into another QEMU.
    Migrate,
    /// Letting the guest refuse a DIMM that was asked for before the machine moved.
    RefuseMoved,
    /// Sending an interrupt by XICS to a core that has gone.
    TargetGone,
    /// Letting the guest start a watchdog that there cannot be: they count from 1.
    WatchdogZero,
    /// Negotiating what this QEMU calls invalid, or what this machine has not.
    CasUnfit,
    /// Negotiating an architecture level that is older than the machine's.
    CasOlder,
    /// Asking back a core while the guest's call of CAS is on its way.
    UnplugCoreInCas,
    /// Negotiating by the hypervisor call with little room for the tree.
    CasRoom,
    /// Negotiating by the hypervisor call under VOF, and then asking VOF for something.
    CasThenOpen,
    /// Asking the guest to end.
    PowerDown,
}

impl Step {
    /// Asking back a device of this kind.
    pub const fn unplug(kind: Kind) -> Self {
        match kind {
            Kind::Dimm(_) => Self::UnplugDimm,
            Kind::Core => Self::UnplugCore,
            Kind::Pci(_) => Self::UnplugPci,
            Kind::Phb => Self::UnplugPhb,
            Kind::Nvdimm(_) => Self::UnplugNvdimm,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Boot => "booting",
            Self::Plug => "plugging",
            Self::UnplugDimm => "unplugging a DIMM",
            Self::UnplugCore => "unplugging a core that has run",
            Self::UnplugPci => "unplugging a PCI function",
            Self::UnplugPhb => "unplugging a PCI host bridge",
            Self::UnplugNvdimm => "unplugging an NVDIMM",
            Self::AfterCore => "plugging, resetting or migrating after a core went away",
            Self::PlugBeyond => "plugging more cores than there is room for, those that went away included",
            Self::PlugOnOccupied => "plugging a PCI function where another one is",
            Self::WriteReadOnly => "the guest writes metadata that can only be read",
            Self::UnplugTorn => "asking for a DIMM of which a part has gone",
            Self::AfterPhb => "plugging a PCI host bridge just after another went away",
            Self::Migrate => "migrating",
            Self::RefuseMoved => "the guest refuses a DIMM that was asked for before the machine moved",
            Self::TargetGone => "an interrupt is sent by XICS to a core that has gone",
            Self::WatchdogZero => "the guest starts watchdog 0",
            Self::CasUnfit => "negotiating what is invalid or unavailable",
            Self::CasOlder => "negotiating an older architecture level",
            Self::UnplugCoreInCas => "unplugging a core while CAS is on its way",
            Self::CasRoom => "negotiating with little room for the tree",
            Self::CasThenOpen => "asking VOF for something after `KVMPPC_H_CAS`",
            Self::PowerDown => "powering down",
        })
    }
}

/// A crash of some QEMUs at some step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Its name, which its finding in FINDINGS.md bears, too.
    pub id: &'static str,
    /// The first version in which it was seen.
    pub first: Version,
    /// The last version in which it was seen; those between are taken to have it.
    pub last: Version,
    /// When QEMU crashes: then, or later, as what is corrupted may be used later.
    pub step: Step,
    /// Whether it does so every time.
    pub certain: bool,
    /// Why, and who knows of it.
    pub reason: &'static str,
}

/// Debian's packages: what was at hand.
const STABLE: Version = Version::new(7, 2, 22);
const BACKPORT: Version = Version::new(10, 0, 13);
const NEWEST: Version = Version::new(11, 1, 3);

/// The list.
pub const DEFECTS: &[Defect] = &[
    Defect {
        id: "core-heap",
        first: STABLE,
        last: BACKPORT,
        step: Step::UnplugCore,
        certain: false,
        reason: "corrupts its heap when a core is unplugged that was ever started, under TCG; often it aborts at once",
    },
    Defect {
        id: "after-core",
        first: STABLE,
        last: BACKPORT,
        step: Step::AfterCore,
        certain: false,
        reason: "crashes when a DIMM is plugged, or the machine reset or migrated, after a core was unplugged, under TCG",
    },
    Defect {
        id: "moved-refusal",
        first: STABLE,
        last: NEWEST,
        step: Step::RefuseMoved,
        certain: true,
        reason: "asserts that it knows of the request (`ds`) when a guest refuses a DIMM that was asked for before the machine \
                 was migrated: that is not migrated",
    },
    Defect {
        id: "maxcpus-ever",
        first: STABLE,
        last: NEWEST,
        step: Step::PlugBeyond,
        certain: true,
        reason: "aborts in tcg_register_thread when more cores were ever plugged than `maxcpus` has room for, under TCG",
    },
    Defect {
        id: "phb-liobn",
        first: STABLE,
        last: NEWEST,
        step: Step::AfterPhb,
        certain: false,
        reason: "aborts when a PCI host bridge is plugged just after one of the same index went away: duplicate LIOBN",
    },
    Defect {
        id: "pci-occupied",
        first: STABLE,
        last: NEWEST,
        step: Step::PlugOnOccupied,
        certain: true,
        reason: "aborts in error_setv when a PCI function other than 0 is plugged where another one is",
    },
    Defect {
        id: "nvdimm-read-only",
        first: STABLE,
        last: STABLE,
        step: Step::WriteReadOnly,
        certain: true,
        reason: "dies of SIGSEGV when a guest writes the metadata of an NVDIMM whose backend is read-only",
    },
    Defect {
        id: "torn-dimm",
        first: STABLE,
        last: NEWEST,
        step: Step::UnplugTorn,
        certain: true,
        reason: "asserts that the connector has its device (`drc->dev`) when a DIMM is asked for of which some blocks have \
                 gone and others have not",
    },
    Defect {
        id: "target-gone",
        first: STABLE,
        last: STABLE,
        step: Step::TargetGone,
        certain: true,
        reason: "dies of SIGSEGV in icp_irq when an interrupt is sent by XICS to a core that has gone",
    },
    Defect {
        id: "watchdog-zero",
        first: STABLE,
        last: STABLE,
        step: Step::WatchdogZero,
        certain: true,
        reason: "dies of SIGSEGV when a guest starts watchdog 0 by H_WATCHDOG: it writes before its list of watchdogs",
    },
    Defect {
        id: "cas-unfit",
        first: STABLE,
        last: NEWEST,
        step: Step::CasUnfit,
        certain: true,
        reason: "ends itself, with status 1, when a guest negotiates an invalid or unavailable interrupt mode or translation, or \
                 no resizing where that is required",
    },
    Defect {
        id: "cas-older",
        first: BACKPORT,
        last: NEWEST,
        step: Step::CasOlder,
        certain: true,
        reason: "aborts in spapr_dt_pa_features (`pa_size > 66`) when a guest on POWER10 negotiates 2.07",
    },
    Defect {
        id: "core-in-cas",
        first: STABLE,
        last: NEWEST,
        step: Step::UnplugCoreInCas,
        certain: false,
        reason: "dies of SIGSEGV, at times, when a core is unplugged while the guest's call of CAS is on its way, under TCG",
    },
    Defect {
        id: "h-cas-room",
        first: STABLE,
        last: NEWEST,
        step: Step::CasRoom,
        certain: true,
        reason: "ends itself, with status 1, when `KVMPPC_H_CAS` is called with too little room for the tree",
    },
    Defect {
        id: "vof-h-cas",
        first: STABLE,
        last: NEWEST,
        step: Step::CasThenOpen,
        certain: true,
        reason: "aborts in vof_do_open (`inst->phandle`) when a guest under VOF opens something after `KVMPPC_H_CAS`, and ends itself \
                 with status 1 when it claims memory",
    },
];

/// What was at hand.
const ALL: [Version; 3] = [STABLE, BACKPORT, NEWEST];

/// The versions in which `H_INT_ESB` was seen to hand out what it has loaded with its bytes in the order of the host.
const SWAPPED_ESB_LOADS: [Version; 3] = ALL;

/// The versions in which `H_INT_GET_SOURCE_CONFIG` was seen to answer out of a queue that was never set.
const FORGOTTEN_TARGETS: [Version; 3] = ALL;

/// Whether this QEMU hands out the bytes of a load by `H_INT_ESB` in the order of the host, which is not the guest's.
pub fn swaps_esb_loads(version: Version) -> bool {
    cfg!(target_endian = "little") && SWAPPED_ESB_LOADS.contains(&version)
}

/// The first version that was seen to migrate the decrementer.
const DECREMENTER_SINCE: Version = BACKPORT;

/// Whether this QEMU leaves the decrementer behind when the machine moves, so that a guest that cedes sleeps on.
pub fn loses_the_decrementer(version: Version) -> bool {
    version < DECREMENTER_SINCE
}

/// Whether this QEMU does not tell where a source is sent to, as long as no queue was set for that processor.
pub fn forgets_target_without_queue(version: Version) -> bool {
    FORGOTTEN_TARGETS.contains(&version)
}

/// A device that some QEMUs do not let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Its name, which its finding in FINDINGS.md bears, too.
    pub id: &'static str,
    /// The first version in which it was seen.
    pub first: Version,
    /// The last version in which it was seen; those between are taken to have it.
    pub last: Version,
    /// The driver of the device.
    pub driver: &'static str,
    /// What happens instead.
    pub reason: &'static str,
}

/// The list of devices that do not go.
pub const STICKY: &[Sticky] = &[Sticky {
    id: "xhci-stays",
    first: STABLE,
    last: STABLE,
    driver: XHCI,
    reason: "an xHCI controller that was given back leaves its slot, but DEVICE_DELETED never comes",
}];

/// A USB controller.
pub const XHCI: &str = "nec-usb-xhci";

/// Why this QEMU does not let a device go.
pub fn sticky(version: Version, kind: Kind) -> Option<&'static Sticky> {
    let has = |sticky: &&Sticky| (sticky.first..=sticky.last).contains(&version);
    STICKY.iter().filter(has).find(|sticky| kind == Kind::Pci(sticky.driver))
}

/// The defect that explains a crash of this QEMU after these steps: where several do, that of the last step.
pub fn explaining(version: Version, steps: &[Step]) -> Option<&'static Defect> {
    let of = |step: &Step| {
        DEFECTS.iter().find(|defect| defect.step == *step && (defect.first..=defect.last).contains(&version))
    };
    steps.iter().rev().find_map(of)
}

/// A wrong answer of some QEMUs, whatever the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    /// Its name, which its finding in FINDINGS.md bears, too.
    pub id: &'static str,
    /// The first version in which it was seen.
    pub first: Version,
    /// The last version in which it was seen; those between are taken to have it.
    pub last: Version,
    /// The property that it breaks.
    pub property: &'static str,
    /// What it does.
    pub reason: &'static str,
}

/// The property that a short buffer puts to the test.
pub const SLIP_BEYOND: &str = "writes no further than it was told to";
/// The property that a buffer where there is no memory puts to the test.
pub const SLIP_NOWHERE: &str = "stores what it takes from the queue";

/// The list of wrong answers.
pub const SLIPS: &[Slip] = &[
    Slip {
        id: "check-length",
        first: STABLE,
        last: NEWEST,
        property: SLIP_BEYOND,
        reason: "check-exception writes the whole log, whatever length of the buffer it is told",
    },
    Slip {
        id: "check-nowhere",
        first: STABLE,
        last: NEWEST,
        property: SLIP_NOWHERE,
        reason: "check-exception with a buffer that lies not, or not wholly, in memory takes the event and says success",
    },
];

/// The wrong answer of this QEMU that breaks a property.
pub fn slip(version: Version, property: &str) -> Option<&'static Slip> {
    SLIPS.iter().find(|slip| slip.property == property && (slip.first..=slip.last).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::{Step, Version, explaining};

    #[test]
    fn a_crash_is_expected_only_of_that_version_from_that_step_on() {
        assert!(explaining(Version::new(10, 0, 13), &[Step::Boot, Step::UnplugCore]).is_some());
        assert!(explaining(Version::new(10, 0, 13), &[Step::UnplugCore, Step::PowerDown]).is_some());
        let last = explaining(Version::new(10, 0, 13), &[Step::UnplugCore, Step::AfterCore, Step::PowerDown]);
        assert_eq!(last.map(|defect| defect.id), Some("after-core"));
        for (version, step) in [
            (Version::new(10, 0, 13), Step::UnplugDimm),
            (Version::new(10, 0, 14), Step::UnplugCore),
            (Version::new(7, 2, 21), Step::UnplugCore),
            (Version::new(11, 1, 3), Step::UnplugCore),
            (Version::new(11, 1, 3), Step::AfterCore),
            (Version::new(7, 2, 22), Step::Plug),
        ] {
            assert_eq!(explaining(version, &[Step::Boot, step]), None, "{version} {step}");
        }
    }
}
