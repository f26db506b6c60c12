//! What the guest can call, as functions on the platform.
//!
//! Each takes the cells of the call as they come, however senseless, and answers with a status.

use super::Platform;
use super::queue::{Line, QUEUED_LEN};
use super::tree::{self, Cursor};
use crate::hotplug::State;
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::{EntitySense, Indicator, Sensor};
use crate::papr::status::Status;

impl Platform {
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_set_indicator)
    pub fn set_indicator(&mut self, indicator: Indicator, index: DrcIndex, value: u32) -> Status {
        let Some(drc) = self.drcs.get_mut(&index) else { return Status::PARAMETER };
        let (status, effect) = drc.set(indicator, value);
        self.take_effect(index, effect);
        status
    }

    /// The state is 0 where the call fails.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_get_sensor_state)
    pub fn get_sensor_state(&self, sensor: Sensor, index: DrcIndex) -> (Status, EntitySense) {
        self.drcs.get(&index).map_or((Status::PARAMETER, EntitySense::EMPTY), |drc| drc.read(sensor))
    }

    /// One step for the connector whose index stands in the work area. The fragment is made at the first step, and
    /// kept until the device goes: a host bridge shows what is behind it now, and never what comes later.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_ibm_configure_connector)
    pub fn configure_connector(&mut self, area: &mut WorkArea) -> Status {
        let [a, b, c, d, ..] = area.0;
        let index = DrcIndex(u32::from_be_bytes([a, b, c, d]));
        let Some(drc) = self.drcs.get(&index) else { return Status::PARAMETER };
        match drc.may_configure() {
            Ok(effect) => self.take_effect(index, effect),
            Err(status) => return status,
        }
        let (threads, behind) = (self.config.threads, self.behind(index));
        let Some(drc) = self.drcs.get_mut(&index) else { return Status::PARAMETER };
        if drc.cursor.is_empty() {
            drc.cursor = Cursor::new(tree::fragment(index, threads, &behind));
        }
        let status = drc.cursor.step(area);
        if status == Status::SUCCESS {
            drc.state = State::Configured;
        }
        status
    }

    /// Takes one event of the classes in `mask`.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (check_exception)
    pub fn check_exception(&mut self, mask: u32) -> Option<[u8; QUEUED_LEN]> {
        let own_source = self.own_source();
        self.queue.take(mask, own_source)
    }

    /// Never finds an event, but announces again those that are queued.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (event_scan)
    pub fn event_scan(&mut self) -> Status {
        let own_source = self.own_source();
        self.queue.pulse_again(own_source);
        Status::NONE_FOUND
    }

    /// How many events are queued.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The interrupt source with this number.
    pub fn line(&mut self, irq: u32) -> Option<&mut Line> {
        self.queue.line(irq)
    }

    /// Delivers an interrupt that came and is let through: its source.
    pub fn interrupt(&mut self) -> Option<Line> {
        self.queue.deliver()
    }

    /// Starts a thread that stands still.
    ///
    /// Ref: QEMU hw/ppc/spapr_rtas.c (rtas_start_cpu)
    pub fn start_thread(&mut self, server: u32) -> Status {
        match self.threads.get_mut(&server) {
            Some(runs @ false) => {
                *runs = true;
                Status::SUCCESS
            }
            Some(true) => Status::HARDWARE,
            None => Status::PARAMETER,
        }
    }

    /// A thread stops itself. `false` if it did not run.
    pub fn stop_thread(&mut self, server: u32) -> bool {
        self.threads.get_mut(&server).is_some_and(|runs| core::mem::replace(runs, false))
    }

    /// Whether a thread runs; `None` if there is no such thread.
    pub fn thread_runs(&self, server: u32) -> Option<bool> {
        self.threads.get(&server).copied()
    }
}
