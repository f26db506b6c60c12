//! One connector: the two state diagrams.
//!
//! The functions here are the table of what each call answers in each state. What a call does beyond the connector, to
//! its device or to those beside it, is handed out as an [`Effect`].
//!
//! | call | unusable | available | unisolated | configured |
//! |---|---|---|---|---|
//! | allocate usable | -3 without device or while it is wanted back, else available | 0 | 0 | 0 |
//! | allocate unusable | 0 | unusable, released if it is wanted back | -3 | -3 |
//! | isolate | 0 | 0 | -3 | available; a memory block that is not wanted back: -1 |
//! | unisolate | -3 | unisolated | 0, refuses an unplug | 0, refuses an unplug |
//! | configure | -9003 | -9003 | a step, at the end configured | a step |
//!
//! | call | power-on | unisolated | configured |
//! |---|---|---|---|
//! | isolate | 0 | -3 | power-on, released if it is wanted back |
//! | unisolate | -3 without device, else unisolated | 0 | 0 |
//! | configure | -9003 | a step, at the end configured | a step |
//!
//! Ref: LoPAR 13.4 (Figures 12 and 13), QEMU hw/ppc/spapr_drc.c

use super::tree::Cursor;
use crate::hotplug::State;
use crate::papr::drc::DrcKind;
use crate::papr::indicator::{
    ACTION, ACTIVE, EntitySense, INACTIVE, ISOLATE, Indicator, Sensor, UNISOLATE, UNUSABLE, USABLE,
};
use crate::papr::status::Status;
use alloc::string::String;

/// A connector as the hypervisor has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drc {
    pub(super) kind: DrcKind,
    pub(super) state: State,
    /// The device that is attached.
    pub(super) device: Option<String>,
    /// The host wants the device back.
    pub(super) unplug_requested: bool,
    /// The lamp of a physical connector.
    pub(super) indicator: u32,
    pub(super) cursor: Cursor,
}

/// What a call does beyond its connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hotplug) enum Effect {
    None,
    /// The device leaves the connector.
    Release,
    /// The guest refuses to give the device back.
    Refuse,
    /// The guest goes on with a memory block that is wanted back.
    RollBack,
}

impl Drc {
    pub(super) fn new(kind: DrcKind) -> Self {
        let state = State::empty(kind.is_physical());
        let cursor = Cursor::default();
        Self { kind, state, device: None, unplug_requested: false, indicator: INACTIVE, cursor }
    }

    /// What it connects.
    pub const fn kind(&self) -> DrcKind {
        self.kind
    }

    /// Its state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The device that is attached.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Whether the host wants the device back.
    pub const fn unplug_requested(&self) -> bool {
        self.unplug_requested
    }

    /// The lamp of a physical connector.
    pub const fn indicator(&self) -> u32 {
        self.indicator
    }

    /// Whether it holds nothing, by its state; a device may be attached that the guest has not acquired.
    pub fn is_empty(&self) -> bool {
        self.state == State::empty(self.kind.is_physical())
    }

    /// The host attaches a device. Its fragment is made when it is first asked for.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_attach)
    pub(super) fn attach(&mut self, id: &str) {
        self.device = Some(id.into());
    }

    /// The device leaves, and its fragment with it.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_release)
    pub(super) fn detach(&mut self) -> Option<String> {
        self.unplug_requested = false;
        self.cursor = Cursor::default();
        self.device.take()
    }

    /// A connector that has been brought to `state`, with a device that the host does not want back.
    pub(in crate::hotplug) fn with_device(kind: DrcKind, state: State) -> Self {
        Self { state, device: Some(String::new()), ..Self::new(kind) }
    }

    /// The same connector, that connector without its device, and with a device that the host wants back.
    pub(in crate::hotplug) fn variants(self) -> [Self; 3] {
        let empty = Self { device: None, ..self.clone() };
        let wanted_back = Self { unplug_requested: true, ..self.clone() };
        [self, empty, wanted_back]
    }

    /// Sets any indicator.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_set_indicator)
    pub(in crate::hotplug) fn set(&mut self, indicator: Indicator, value: u32) -> (Status, Effect) {
        match indicator {
            Indicator::ISOLATION_STATE => self.set_isolation(value),
            Indicator::ALLOCATION_STATE => self.set_allocation(value),
            Indicator::DR_INDICATOR => (self.set_dr_indicator(value), Effect::None),
            _ => (Status::PARAMETER, Effect::None),
        }
    }

    /// Reads any sensor.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_get_sensor_state)
    pub(in crate::hotplug) fn read(&self, sensor: Sensor) -> (Status, EntitySense) {
        match sensor {
            Sensor::DR_ENTITY_SENSE => (Status::SUCCESS, self.sense()),
            _ => (Status::PARAMETER, EntitySense::EMPTY),
        }
    }

    /// Runs configure-connector to its end.
    pub(in crate::hotplug) fn configure(&mut self) -> Status {
        match self.may_configure() {
            Ok(_) => {
                self.state = State::Configured;
                Status::SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (physical_entity_sense, logical_entity_sense)
    fn sense(&self) -> EntitySense {
        match (self.kind.is_physical(), self.state) {
            (true, _) if self.device.is_some() => EntitySense::PRESENT,
            (true, _) => EntitySense::EMPTY,
            (false, State::Unusable) => EntitySense::UNUSABLE,
            (false, _) => EntitySense::PRESENT,
        }
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_set_isolation_state)
    fn set_isolation(&mut self, value: u32) -> (Status, Effect) {
        match value {
            ISOLATE => self.isolate(),
            UNISOLATE => self.unisolate(),
            _ => (Status::PARAMETER, Effect::None),
        }
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_isolate_physical, drc_isolate_logical)
    fn isolate(&mut self) -> (Status, Effect) {
        match self.state {
            State::Unisolated => return (Status::PARAMETER, Effect::None),
            State::Configured => {}
            _ => return (Status::SUCCESS, Effect::None),
        }
        if self.kind == DrcKind::LMB && !self.unplug_requested {
            return (Status::HARDWARE, Effect::None);
        }
        self.state = State::isolated(self.kind.is_physical());
        let release = self.kind.is_physical() && self.unplug_requested;
        (Status::SUCCESS, if release { Effect::Release } else { Effect::None })
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_unisolate_physical, drc_unisolate_logical)
    fn unisolate(&mut self) -> (Status, Effect) {
        match self.state {
            State::Unisolated | State::Configured => {
                let refuses = !self.kind.is_physical() && self.unplug_requested && self.device.is_some();
                return (Status::SUCCESS, if refuses { Effect::Refuse } else { Effect::None });
            }
            State::PowerOn if self.device.is_some() => {}
            State::Available => {}
            _ => return (Status::PARAMETER, Effect::None),
        }
        self.state = State::Unisolated;
        self.cursor.rewind();
        (Status::SUCCESS, Effect::None)
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_set_allocation_state)
    fn set_allocation(&mut self, value: u32) -> (Status, Effect) {
        match value {
            _ if self.kind.is_physical() => (Status::PARAMETER, Effect::None),
            USABLE => (self.set_usable(), Effect::None),
            UNUSABLE => self.set_unusable(),
            _ => (Status::PARAMETER, Effect::None),
        }
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_set_usable)
    fn set_usable(&mut self) -> Status {
        if self.state != State::Unusable {
            return Status::SUCCESS;
        }
        if self.device.is_none() || self.unplug_requested {
            return Status::PARAMETER;
        }
        self.state = State::Available;
        Status::SUCCESS
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_set_unusable)
    fn set_unusable(&mut self) -> (Status, Effect) {
        match self.state {
            State::Unusable => (Status::SUCCESS, Effect::None),
            State::Available => {
                self.state = State::Unusable;
                (Status::SUCCESS, if self.unplug_requested { Effect::Release } else { Effect::None })
            }
            _ => (Status::PARAMETER, Effect::None),
        }
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_set_dr_indicator)
    fn set_dr_indicator(&mut self, value: u32) -> Status {
        if !self.kind.is_physical() || value > ACTION {
            return Status::PARAMETER;
        }
        self.indicator = value;
        Status::SUCCESS
    }

    /// Whether configure-connector can take a step, and what it does before.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_ibm_configure_connector)
    pub(super) fn may_configure(&self) -> Result<Effect, Status> {
        if !matches!(self.state, State::Unisolated | State::Configured) {
            return Err(Status::NOT_CONFIGURABLE);
        }
        let rolls_back = self.kind == DrcKind::LMB && self.unplug_requested;
        Ok(if rolls_back { Effect::RollBack } else { Effect::None })
    }

    /// What a reset leaves: an attached device is as if it had been there from the start.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_reset)
    pub(super) fn settle(&mut self) {
        let physical = self.kind.is_physical();
        self.state = if self.device.is_some() { State::Configured } else { State::empty(physical) };
        self.cursor.rewind();
    }

    /// The lamp after a reset.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_physical_reset)
    pub(super) fn reset_indicator(&mut self) {
        self.indicator = if self.device.is_some() { ACTIVE } else { INACTIVE };
    }
}
