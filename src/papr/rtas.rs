//! RTAS calls: their names, their tokens, and each with its own signature.
//!
//! Tokens come from the `/rtas` node. A busy status is honoured with its delay, up to a bound, and every other status
//! is handed to the caller as it came.
//!
//! Ref: LoPAR 7.3

use super::connector::WorkArea;
use super::drc::DrcIndex;
use super::event::{EventMask, LOG_MAX};
use super::indicator::{EntitySense, Indicator, Sensor};
use super::pci::{Address, Width};
use super::status::Status;
use crate::machine::{Arg, Clock, Rtas};
use core::ffi::CStr;
use core::fmt;

macro_rules! calls {
    ($( $(#[$meta:meta])* $name:ident = $text:literal, )*) => {
        /// An RTAS call that this guest knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Call { $( $(#[$meta])* $name, )* }

        impl Call {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// The call's property under `/rtas`, which holds its token.
            pub const fn property(self) -> &'static CStr {
                match self { $( Self::$name => {
                    const NAME: &CStr = match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name without NUL"),
                    };
                    NAME
                } )* }
            }

            /// The call's name.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

calls! {
    /// Ref: LoPAR 7.3.8
    CheckException = "check-exception",
    /// Ref: LoPAR 7.3.4
    EventScan = "event-scan",
    /// Ref: LoPAR 7.3.10
    SetIndicator = "set-indicator",
    /// Ref: LoPAR 7.3.9
    GetSensorState = "get-sensor-state",
    /// Ref: LoPAR 13.5.3.5
    ConfigureConnector = "ibm,configure-connector",
    /// Ref: LoPAR 7.3.12
    SetPowerLevel = "set-power-level",
    /// Ref: LoPAR 7.3.12
    GetPowerLevel = "get-power-level",
    /// Ref: LoPAR 7.3.14.3
    StartCpu = "start-cpu",
    /// Ref: LoPAR 7.3.14.1
    StopSelf = "stop-self",
    /// Ref: LoPAR 7.3.14.2
    QueryCpuStoppedState = "query-cpu-stopped-state",
    /// Ref: LoPAR 7.3.6
    PowerOff = "power-off",
    /// Ref: LoPAR 7.3.7
    SystemReboot = "system-reboot",
    /// Ref: LoPAR 7.3.11.1
    OsTerm = "ibm,os-term",
    /// Ref: LoPAR 7.3.1.1
    NvramFetch = "nvram-fetch",
    /// Ref: LoPAR 7.3.1.2
    NvramStore = "nvram-store",
    /// Ref: LoPAR 7.3.2
    GetTimeOfDay = "get-time-of-day",
    /// Ref: LoPAR 7.3.5.1
    ReadPciConfig = "ibm,read-pci-config",
    /// Ref: LoPAR 7.3.5.2
    WritePciConfig = "ibm,write-pci-config",
    /// Ref: LoPAR 7.3.13.2
    GetXive = "ibm,get-xive",
    /// Ref: LoPAR 7.3.13.1
    SetXive = "ibm,set-xive",
    /// Ref: LoPAR 7.3.13.3
    IntOff = "ibm,int-off",
    /// Ref: LoPAR 7.3.13.4
    IntOn = "ibm,int-on",
}

/// The tokens that this machine's `/rtas` node has.
#[derive(Clone, Debug)]
pub struct Tokens([Option<u32>; Call::ALL.len()]);

impl Tokens {
    /// Asks `find` for the token of every call.
    pub fn read(mut find: impl FnMut(Call) -> Option<u32>) -> Self {
        let mut tokens = [None; Call::ALL.len()];
        for call in Call::ALL {
            tokens[*call as usize] = find(*call);
        }
        Self(tokens)
    }

    /// The token of a call, where the machine has it.
    pub fn get(&self, call: Call) -> Option<u32> {
        self.0[call as usize]
    }
}

/// This machine has no such call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Call);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine has no RTAS call {}", self.0.name())
    }
}

/// The longest that a call may be busy, in milliseconds, before its busy status is handed to the caller.
const PATIENCE_MS: u32 = 10_000;
/// Vector 0x500, the external interrupt: what check-exception wants to know.
const EXTERNAL_INTERRUPT: u32 = 0x500;
/// The power domain of connectors that have none.
pub const NO_POWER_DOMAIN: u32 = u32::MAX;
/// A thread that stands still, in the answer of query-cpu-stopped-state.
pub const CPU_STOPPED: u32 = 0;

/// The calls, ready to be made.
#[derive(Debug)]
pub struct Calls<'m, M> {
    machine: &'m mut M,
    tokens: &'m Tokens,
}

type Answer<T> = Result<(Status, T), Missing>;

impl<'m, M: Rtas + Clock> Calls<'m, M> {
    /// Makes calls on `machine` with its `tokens`.
    pub const fn new(machine: &'m mut M, tokens: &'m Tokens) -> Self {
        Self { machine, tokens }
    }

    /// One call. While it answers that it is busy it is made again after the delay that it names.
    fn call<const N: usize>(&mut self, call: Call, args: &mut [Arg<'_>]) -> Answer<[u32; N]> {
        let token = self.tokens.get(call).ok_or(Missing(call))?;
        let mut waited = 0_u32;
        loop {
            let mut rets = [0; N];
            let status = self.machine.rtas(token, args, &mut rets);
            match status.retry_after_ms() {
                Some(delay) if waited.saturating_add(delay) <= PATIENCE_MS => {
                    self.machine.sleep_ms(delay);
                    waited += delay;
                }
                _ => return Ok((status, rets)),
            }
        }
    }

    fn plain(&mut self, call: Call, cells: &[u32]) -> Result<Status, Missing> {
        self.cells::<0>(call, cells).map(|(status, [])| status)
    }

    fn cells<const N: usize>(&mut self, call: Call, cells: &[u32]) -> Answer<[u32; N]> {
        const MAX: usize = 6;
        let mut args = [const { Arg::Cell(0) }; MAX];
        for (arg, cell) in args.iter_mut().zip(cells) {
            *arg = Arg::Cell(*cell);
        }
        self.call(call, &mut args[..cells.len().min(MAX)])
    }

    /// Takes one event of the classes in `mask` from the queue into `log`.
    ///
    /// Ref: LoPAR 7.3.8
    pub fn check_exception(
        &mut self,
        irq: u32,
        mask: EventMask,
        log: &mut [u8; LOG_MAX],
    ) -> Result<Status, Missing> {
        self.check_exception_as(irq, mask, Arg::Out(log), LOG_MAX as u32)
    }

    /// The same with any buffer, and with any word about its length.
    ///
    /// Ref: LoPAR 7.3.8
    pub fn check_exception_as(
        &mut self,
        irq: u32,
        mask: EventMask,
        log: Arg<'_>,
        length: u32,
    ) -> Result<Status, Missing> {
        const NOT_CRITICAL: u32 = 0;
        let args = &mut [
            Arg::Cell(EXTERNAL_INTERRUPT),
            Arg::Cell(irq),
            Arg::Cell(mask.bits()),
            Arg::Cell(NOT_CRITICAL),
            log,
            Arg::Cell(length),
        ];
        self.call(Call::CheckException, args).map(|(status, [])| status)
    }

    /// Asks for an event that no interrupt told of.
    ///
    /// Ref: LoPAR 7.3.4
    pub fn event_scan(&mut self, mask: EventMask, log: &mut [u8; LOG_MAX]) -> Result<Status, Missing> {
        const NOT_CRITICAL: u32 = 0;
        let args =
            &mut [Arg::Cell(mask.bits()), Arg::Cell(NOT_CRITICAL), Arg::Out(log), Arg::Cell(LOG_MAX as u32)];
        self.call(Call::EventScan, args).map(|(status, [])| status)
    }

    /// Sets an indicator of a connector.
    ///
    /// Ref: LoPAR 7.3.10
    pub fn set_indicator(
        &mut self,
        indicator: Indicator,
        index: DrcIndex,
        value: u32,
    ) -> Result<Status, Missing> {
        self.plain(Call::SetIndicator, &[indicator.0, index.0, value])
    }

    /// Reads a connector's entity sense.
    ///
    /// Ref: LoPAR 13.5.3.3
    pub fn entity_sense(&mut self, index: DrcIndex) -> Answer<EntitySense> {
        self.sensor(Sensor::DR_ENTITY_SENSE, index)
    }

    /// Reads a sensor of a connector, as if it were its entity sense.
    ///
    /// Ref: LoPAR 7.3.11
    pub fn sensor(&mut self, sensor: Sensor, index: DrcIndex) -> Answer<EntitySense> {
        self.cells(Call::GetSensorState, &[sensor.0, index.0])
            .map(|(status, [state])| (status, EntitySense(state)))
    }

    /// One step of configure-connector. A busy status is an answer here, since the work area decides what follows.
    ///
    /// The second argument is 0: PAPR's "no extent"; QEMU takes it as the upper half of the work area's address.
    /// Ref: LoPAR 13.5.3.5
    pub fn configure_connector(&mut self, area: &mut WorkArea) -> Result<Status, Missing> {
        let call = Call::ConfigureConnector;
        let token = self.tokens.get(call).ok_or(Missing(call))?;
        Ok(self.machine.rtas(token, &mut [Arg::InOut(&mut area.0), Arg::Cell(0)], &mut []))
    }

    /// Starts a thread at the real address `entry` with `argument` in its r3.
    ///
    /// Ref: LoPAR 7.3.14.3
    pub fn start_cpu(&mut self, server: u32, entry: u32, argument: u32) -> Result<Status, Missing> {
        self.plain(Call::StartCpu, &[server, entry, argument])
    }

    /// Whether a thread stands still: [`CPU_STOPPED`] if so.
    ///
    /// Ref: LoPAR 7.3.14.2
    pub fn query_cpu_stopped_state(&mut self, server: u32) -> Answer<u32> {
        self.cells(Call::QueryCpuStoppedState, &[server]).map(|(status, [state])| (status, state))
    }

    /// Sends a source to a server, with a priority; [`super::interrupt::PRIORITY_MASKED`] turns it off.
    ///
    /// Ref: LoPAR 7.3.13.1
    pub fn set_xive(&mut self, irq: u32, server: u32, priority: u8) -> Result<Status, Missing> {
        self.plain(Call::SetXive, &[irq, server, u32::from(priority)])
    }

    /// The server and the priority of a source.
    ///
    /// Ref: LoPAR 7.3.13.2
    pub fn get_xive(&mut self, irq: u32) -> Answer<(u32, u32)> {
        self.cells(Call::GetXive, &[irq]).map(|(status, [server, priority])| (status, (server, priority)))
    }

    /// Turns a source on.
    ///
    /// Ref: LoPAR 7.3.13.4
    pub fn int_on(&mut self, irq: u32) -> Result<Status, Missing> {
        self.plain(Call::IntOn, &[irq])
    }

    /// Turns a source off.
    ///
    /// Ref: LoPAR 7.3.13.3
    pub fn int_off(&mut self, irq: u32) -> Result<Status, Missing> {
        self.plain(Call::IntOff, &[irq])
    }

    /// Reads `width` bytes of a function's configuration space at `register`. Where there is no such function, the
    /// status is an error and the value all ones.
    ///
    /// Ref: LoPAR 7.3.5.1
    pub fn read_pci_config(
        &mut self,
        buid: u64,
        address: Address,
        register: u16,
        width: Width,
    ) -> Answer<u32> {
        let [high, low] = halves(buid);
        let args = [address.cell(register), high, low, width.bytes()];
        self.cells(Call::ReadPciConfig, &args)
            .map(|(status, [value])| (status, if status == Status::SUCCESS { value } else { width.ones() }))
    }

    /// Writes `width` bytes of a function's configuration space at `register`.
    ///
    /// Ref: LoPAR 7.3.5.2
    pub fn write_pci_config(
        &mut self,
        buid: u64,
        address: Address,
        register: u16,
        width: Width,
        value: u32,
    ) -> Result<Status, Missing> {
        let [high, low] = halves(buid);
        self.plain(Call::WritePciConfig, &[address.cell(register), high, low, width.bytes(), value])
    }

    /// Reads NVRAM from `offset` on; how many bytes came.
    ///
    /// Ref: LoPAR 7.3.1.1
    pub fn nvram_fetch(&mut self, offset: u32, into: &mut [u8]) -> Answer<u32> {
        let len = into.len() as u32;
        let args = &mut [Arg::Cell(offset), Arg::Out(into), Arg::Cell(len)];
        self.call(Call::NvramFetch, args).map(|(status, [count])| (status, count))
    }

    /// Writes NVRAM from `offset` on; how many bytes went.
    ///
    /// Ref: LoPAR 7.3.1.2
    pub fn nvram_store(&mut self, offset: u32, from: &[u8]) -> Answer<u32> {
        let args = &mut [Arg::Cell(offset), Arg::In(from), Arg::Cell(from.len() as u32)];
        self.call(Call::NvramStore, args).map(|(status, [count])| (status, count))
    }

    /// Turns the machine off. Returns only when it was refused.
    ///
    /// Ref: LoPAR 7.3.6
    pub fn power_off(&mut self) -> Result<Status, Missing> {
        // No event is to turn it on again.
        const NO_MASK: u32 = u32::MAX;
        self.plain(Call::PowerOff, &[NO_MASK, NO_MASK])
    }

    /// Starts the machine anew. It may return before that happens.
    ///
    /// Ref: LoPAR 7.3.7
    pub fn system_reboot(&mut self) -> Result<Status, Missing> {
        self.plain(Call::SystemReboot, &[])
    }

    /// Tells the platform that the operating system is dead.
    ///
    /// Ref: LoPAR 7.3.11.1
    pub fn os_term(&mut self, message: &CStr) -> Result<Status, Missing> {
        self.call(Call::OsTerm, &mut [Arg::Str(message)]).map(|(status, [])| status)
    }
}

/// A number of 64 bits as the two cells that carry it.
const fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

#[cfg(test)]
mod tests {
    use super::{Address, Width};
    use super::{Arg, Call, Calls, Clock, DrcIndex, Indicator, Missing, Rtas, Status, Tokens};
    use std::vec::Vec;

    /// Answers with the statuses it was given, and keeps what it was asked and how long it was left alone.
    #[derive(Default)]
    struct Busy {
        answers: Vec<i32>,
        calls: Vec<(u32, Vec<u32>)>,
        now: u64,
    }

    impl Rtas for Busy {
        fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], _rets: &mut [u32]) -> Status {
            let cells = args.iter().map(|arg| if let Arg::Cell(cell) = arg { *cell } else { 0 });
            self.calls.push((token, cells.collect()));
            Status(self.answers.remove(0))
        }
    }

    impl Clock for Busy {
        fn ticks(&self) -> u64 {
            self.now
        }
        fn tick_rate(&self) -> u64 {
            512_000_000
        }
        fn pause(&mut self, ticks: u64) {
            self.now += ticks;
        }
    }

    fn set(answers: &[i32]) -> (Status, Busy) {
        let mut busy = Busy { answers: answers.to_vec(), ..Busy::default() };
        let tokens = Tokens::read(|call| Some(0x2000 + call as u32));
        let status = Calls::new(&mut busy, &tokens)
            .set_indicator(Indicator::ISOLATION_STATE, DrcIndex(0x8000_0004), 1)
            .expect("the token is there");
        (status, busy)
    }

    #[test]
    fn a_busy_call_is_made_again_after_its_delay() {
        let (status, busy) = set(&[-2, 9902, 0]);
        assert_eq!(status, Status::SUCCESS);
        assert_eq!(busy.calls.len(), 3);
        assert_eq!(busy.now, 101 * 512_000);
        assert_eq!(busy.calls[2].1, [9001, 0x8000_0004, 1]);
    }

    #[test]
    fn patience_ends() {
        let (status, busy) = set(&[9904, 9904]);
        assert_eq!(status, Status(9904));
        assert_eq!(busy.calls.len(), 2);
    }

    #[test]
    fn an_unknown_status_is_kept() {
        assert_eq!(set(&[-4711]).0, Status(-4711));
    }

    #[test]
    fn configuration_space_is_asked_for_by_its_cells() {
        let mut busy = Busy { answers: [-1, 0].to_vec(), ..Busy::default() };
        let tokens = Tokens::read(|call| Some(0x2000 + call as u32));
        let address = Address::new(1, 2, 3).expect("in range");
        let mut calls = Calls::new(&mut busy, &tokens);
        let read = calls.read_pci_config(0x0800_0000_2000_0005, address, 0x10, Width::Half);
        assert_eq!(read, Ok((Status::HARDWARE, 0xffff)));
        let written = calls.write_pci_config(0x0800_0000_2000_0005, address, 0x104, Width::Word, 7);
        assert_eq!(written, Ok(Status::SUCCESS));
        assert_eq!(busy.calls[0].1, [0x0001_1310, 0x0800_0000, 0x2000_0005, 2]);
        assert_eq!(busy.calls[1].1, [0x1001_1304, 0x0800_0000, 0x2000_0005, 4, 7]);
        let none = Tokens::read(|_| None);
        let read = Calls::new(&mut busy, &none).read_pci_config(0, address, 0, Width::Word);
        assert_eq!(read, Err(Missing(Call::ReadPciConfig)));
    }

    #[test]
    fn a_missing_call_is_named() {
        let mut busy = Busy::default();
        let tokens = Tokens::read(|_| None);
        assert_eq!(Calls::new(&mut busy, &tokens).power_off(), Err(Missing(Call::PowerOff)));
        assert_eq!(Call::PowerOff.property(), c"power-off");
    }
}
