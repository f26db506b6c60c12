//! How devices go: what the host asks for, and what becomes of it on the guest's calls.
//!
//! Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_unplug_request, spapr_drc_release), hw/ppc/spapr.c (spapr_lmb_release,
//! spapr_memory_unplug_rollback)

use super::Platform;
use super::drc::Effect;
use super::host::{DEVFNS, HostError, Notice, What, pci_index};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::event::Action;
use alloc::vec::Vec;

/// Unplugging.
impl Platform {
    /// Asks the guest to give a device back. Where its connector is still empty it goes at once.
    ///
    /// # Errors
    /// When there is no such device, when it cannot be unplugged, or an unplug is under way.
    ///
    /// Ref: QEMU hw/ppc/spapr.c (spapr_core_unplug_request, spapr_memory_unplug_request, spapr_phb_unplug_request),
    /// hw/ppc/spapr_pci.c (spapr_pci_unplug_request)
    pub fn unplug(&mut self, id: &str) -> Result<(), HostError> {
        let device = self.devices.get(id).ok_or(HostError::Name)?.clone();
        let pending =
            device.drcs.iter().any(|index| self.drcs.get(index).is_some_and(|d| d.unplug_requested));
        match device.what {
            What::Core(0) => return Err(HostError::Refused("Boot CPU core may not be unplugged")),
            What::Phb(0) => return Err(HostError::Name),
            What::Nvdimm(_) => {
                return Err(HostError::Refused("nvdimm device hot unplug is not supported yet."));
            }
            What::Dimm { .. } if self.hotplug_events == Some(false) => {
                return Err(HostError::Refused("Memory hot unplug not supported for this guest"));
            }
            What::Dimm { .. } if device.waiting > 0 => {
                return Err(HostError::Refused("Memory unplug already in progress"));
            }
            // A guest that gave back part of a DIMM and then refused leaves connectors without a device.
            What::Dimm { .. } if !device.drcs.iter().all(|index| self.is_present(*index)) => {
                return Err(HostError::Abort("spapr_drc_unplug_request"));
            }
            What::Phb(_) | What::Pci { .. } if pending => {
                return Err(HostError::Refused("unplug already in progress"));
            }
            What::Pci { phb, devfn } if devfn % 8 == 0 => {
                (1..8).for_each(|function| self.request(pci_index(phb, devfn | function)));
            }
            _ => {}
        }
        device.drcs.iter().for_each(|index| self.request(*index));
        self.tell(device.what, Action::REMOVE, &device.drcs);
        Ok(())
    }

    /// Marks a connector, unless it is marked already or has no device.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_unplug_request)
    fn request(&mut self, index: DrcIndex) {
        let Some(drc) = self.drcs.get_mut(&index) else { return };
        let Some(id) = drc.device.clone() else { return };
        if drc.unplug_requested {
            return;
        }
        drc.unplug_requested = true;
        let at_once = drc.is_empty();
        if let Some(device) = self.devices.get_mut(&id)
            && device.waiting == 0
        {
            device.waiting = device.drcs.len();
        }
        if at_once {
            self.release(index);
        }
    }

    /// A connector lets go of its device; the device goes when the last of its connectors has.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_release), hw/ppc/spapr.c (spapr_lmb_release)
    pub(super) fn release(&mut self, index: DrcIndex) {
        let Some(drc) = self.drcs.get_mut(&index) else { return };
        let Some(id) = drc.detach() else { return };
        let Some(device) = self.devices.get_mut(&id) else { return };
        device.waiting = device.waiting.saturating_sub(1);
        if device.waiting == 0 {
            self.delete(&id);
        }
    }

    /// A device goes, with all that hangs on it.
    fn delete(&mut self, id: &str) {
        let Some(device) = self.devices.remove(id) else { return };
        match device.what {
            What::Core(core) => {
                let first = core * self.config.threads;
                self.threads.retain(|server, _| !(first..first + self.config.threads).contains(server));
            }
            What::Phb(number) => {
                let hangs = |what: &What| matches!(what, What::Pci { phb, .. } if *phb == number);
                let devices = self.devices.iter().filter(|(_, device)| hangs(&device.what));
                let children: Vec<_> = devices.map(|(id, _)| id.clone()).collect();
                children.iter().for_each(|id| self.delete(id));
                let mine = pci_index(number, 0)..=pci_index(number, DEVFNS - 1);
                self.drcs.retain(|index, _| !mine.contains(index));
            }
            _ => {}
        }
        self.notices.push(Notice::Deleted(id.into()));
    }

    /// What a call did beyond its connector.
    pub(super) fn take_effect(&mut self, index: DrcIndex, effect: Effect) {
        let Some(drc) = self.drcs.get(&index) else { return };
        let (kind, id) = (drc.kind, drc.device.clone().unwrap_or_default());
        match effect {
            Effect::None => {}
            Effect::Release => self.release(index),
            Effect::RollBack => self.roll_back(&id),
            // A refused DIMM is told twice: by the roll-back, and as any other device.
            Effect::Refuse if kind == DrcKind::LMB => {
                self.roll_back(&id);
                self.notices.push(Notice::Refused(id));
            }
            Effect::Refuse => {
                self.forgive(&id);
                self.notices.push(Notice::Refused(id));
            }
        }
    }

    /// An unplug is off.
    fn forgive(&mut self, id: &str) {
        let Some(device) = self.devices.get_mut(id) else { return };
        device.waiting = 0;
        for index in &device.drcs {
            if let Some(drc) = self.drcs.get_mut(index) {
                drc.unplug_requested = false;
            }
        }
    }

    /// The unplug of a DIMM is off.
    ///
    /// Ref: QEMU hw/ppc/spapr.c (spapr_memory_unplug_rollback)
    fn roll_back(&mut self, id: &str) {
        self.forgive(id);
        if self.config.mem_unplug_error {
            self.notices.push(Notice::MemoryRefused(id.into()));
        }
        self.notices.push(Notice::Refused(id.into()));
    }
}
