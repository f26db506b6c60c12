//! Functions taken and put to rest against the model of the platform's half.

use super::fake::{Behind, Device, Fake};
use super::{Function, Phb};
use crate::agent::resources::phb::Expected;
use crate::agent::resources::phb::tests::captured;
use crate::papr::drc::DrcIndex;
use crate::papr::pci::{Address, Space, command, register};

const VERSION_1: u64 = 1 << 32;

fn at(bus: u8, device: u8, function: u8) -> Address {
    Address::new(bus, device, function).expect("in range")
}

fn e1000() -> Device {
    Device::new(0x8086, 0x100e, 0x2_0000, 0)
        .with(0, Space::Memory32, 0x2_0000, Behind::Word(0x8008_0783))
        .with(1, Space::Io, 0x40, Behind::Word(0))
}

/// A host bridge with these functions, and what the guest knows of it.
fn machine(devices: impl IntoIterator<Item = (Address, Device)>) -> (Fake, Phb) {
    let phb = captured();
    (Fake { devices: devices.into_iter().collect(), windows: phb.windows.clone(), ..Fake::default() }, phb)
}

/// What its node says of a function: what it is.
fn expected(fake: &Fake, address: Address) -> Expected {
    let device = &fake.devices[&address];
    let (id, class) = (device.get(register::ID, 4), device.get(register::CLASS, 4) >> 8);
    Expected { address, vendor: id & 0xffff, device: id >> 16, class }
}

fn act(
    fake: &mut Fake,
    phb: &mut Phb,
    expected: Expected,
    act: impl FnOnce(&mut Function<'_, Fake>) -> Result<(), String>,
) -> Result<(), String> {
    let tokens = Fake::tokens();
    act(&mut Function { machine: fake, tokens: &tokens, phb, drc: DrcIndex(0x4001_0008), expected })
}

fn take(fake: &mut Fake, phb: &mut Phb, address: Address) -> Result<(), String> {
    let expected = expected(fake, address);
    act(fake, phb, expected, |function| function.take())
}

fn stop(fake: &mut Fake, phb: &mut Phb, address: Address) -> Result<(), String> {
    let expected = expected(fake, address);
    act(fake, phb, expected, |function| function.stop())
}

/// It answers to nothing, and no register holds an address.
fn is_at_rest(device: &Device) -> bool {
    let bars = (0..6).all(|index| device.get(register::BAR0 + 4 * index, 4) & !0xf == 0);
    bars && device.get(register::COMMAND, 2) & u32::from(command::IO | command::MEMORY | command::MASTER) == 0
}

#[test]
fn a_known_device_is_given_addresses_and_read_back() {
    let (mut fake, mut phb) = machine([(at(0, 1, 0), e1000())]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert_eq!((fake.records("pci"), fake.records("bar"), fake.records("io")), (1, 2, 1), "{}", fake.said);
    assert!(fake.said.contains("what=status address=0x200100000008 value=0x80080783"), "{}", fake.said);
    let device = &fake.devices[&at(0, 1, 0)];
    assert_eq!(device.get(register::BAR0, 4), 0x8000_0000);
    assert_eq!(device.get(register::COMMAND, 2), u32::from(command::MEMORY));
    assert!(!device.answered_while_sized);
    assert_eq!(phb.taken.len(), 2);
    assert_eq!(stop(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert!(is_at_rest(&fake.devices[&at(0, 1, 0)]));
    assert_eq!(phb.taken, []);
}

#[test]
fn functions_do_not_collide_and_what_was_free_is_used_again() {
    let all = [at(0, 1, 0), at(0, 1, 1), at(0, 2, 0)];
    let (mut fake, mut phb) = machine(all.map(|address| (address, e1000())));
    for address in all {
        assert_eq!(take(&mut fake, &mut phb, address), Ok(()));
    }
    let base = |fake: &Fake, address| fake.devices[&address].get(register::BAR0, 4);
    assert_eq!(all.map(|address| base(&fake, address)), [0x8000_0000, 0x8002_0000, 0x8004_0000]);
    assert_eq!(stop(&mut fake, &mut phb, all[1]), Ok(()));
    assert_eq!(take(&mut fake, &mut phb, all[1]), Ok(()));
    assert_eq!(base(&fake, all[1]), 0x8002_0000);
}

#[test]
fn what_the_firmware_has_assigned_stays_and_nothing_is_put_there() {
    let (mut fake, mut phb) = machine([(at(0, 1, 0), e1000()), (at(0, 2, 0), e1000())]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    // Another guest, who knows nothing of that, on the same machine.
    let mut phb = captured();
    assert_eq!(take(&mut fake, &mut phb, at(0, 2, 0)), Ok(()));
    assert_eq!(fake.devices[&at(0, 2, 0)].get(register::BAR0, 4), 0x8002_0000);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert_eq!(fake.devices[&at(0, 1, 0)].get(register::BAR0, 4), 0x8000_0000);
    assert!(fake.said.contains("base=0x80000000 from=firmware"), "{}", fake.said);
}

#[test]
fn a_register_that_fits_nowhere_gives_everything_back() {
    let mut large = e1000();
    large = large.with(2, Space::Memory64, 1 << 41, Behind::Word(0));
    let (mut fake, mut phb) = machine([(at(0, 1, 0), large)]);
    let problem = take(&mut fake, &mut phb, at(0, 1, 0)).expect_err("it does not fit");
    assert!(problem.contains("fits into no window"), "{problem}");
    assert!(fake.said.contains("base=- "), "{}", fake.said);
    assert!(is_at_rest(&fake.devices[&at(0, 1, 0)]));
    assert_eq!(phb.taken, []);
}

#[test]
fn io_that_fits_nowhere_is_told_and_done_without() {
    let device = e1000().with(2, Space::Io, 1 << 20, Behind::Word(0));
    let (mut fake, mut phb) = machine([(at(0, 1, 0), device)]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert!(fake.said.contains("index=2 space=io size=0x100000 base=- "), "{}", fake.said);
    assert_eq!(fake.devices[&at(0, 1, 0)].get(register::BAR0 + 8, 4), 1);
}

#[test]
fn a_function_that_is_not_what_its_node_says_is_not_touched() {
    let (mut fake, mut phb) = machine([(at(0, 1, 0), e1000())]);
    for change in [
        |expected: &mut Expected| expected.vendor = 0x1af4,
        |expected: &mut Expected| expected.device = 0x1004,
        |expected: &mut Expected| expected.class = 0,
        |expected: &mut Expected| expected.address = at(0, 2, 0),
    ] {
        let mut wrong = expected(&fake, at(0, 1, 0));
        change(&mut wrong);
        assert!(act(&mut fake, &mut phb, wrong, |function| function.take()).is_err());
    }
    assert_eq!(fake.records("pci"), 0);
    assert!(is_at_rest(&fake.devices[&at(0, 1, 0)]));
}

#[test]
fn virtio_agrees_on_features_and_is_reset_before_it_goes() {
    let (mut fake, mut phb) = machine([(at(0, 3, 0), Device::virtio(VERSION_1 | 3, false))]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 3, 0)), Ok(()));
    assert!(fake.said.contains("what=device-type address=0x220000000000 value=0x4"), "{}", fake.said);
    assert!(fake.said.contains("what=device-status address=0x220000000014 value=0xb"), "{}", fake.said);
    assert_eq!(stop(&mut fake, &mut phb, at(0, 3, 0)), Ok(()));
    assert!(fake.said.trim_end().lines().last().is_some_and(|line| line.contains("device-status")));
    assert!(is_at_rest(&fake.devices[&at(0, 3, 0)]));
}

#[test]
fn virtio_that_refuses_or_is_too_old_is_put_to_rest() {
    for device in
        [Device::virtio(VERSION_1, true), Device::virtio(3, false), Device::new(0x1af4, 0x1000, 2, 0)]
    {
        let (mut fake, mut phb) = machine([(at(0, 3, 0), device)]);
        assert!(take(&mut fake, &mut phb, at(0, 3, 0)).is_err());
        assert!(is_at_rest(&fake.devices[&at(0, 3, 0)]));
    }
}

#[test]
fn a_device_without_a_driver_is_taken_all_the_same() {
    let bare = Device::new(0x1b36, 0x5, 0xff_0000, 0);
    let with_memory = bare.clone().with(2, Space::Memory32, 0x1000, Behind::Word(0x1234));
    let (mut fake, mut phb) = machine([(at(0, 1, 0), bare), (at(0, 2, 0), with_memory)]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert_eq!(fake.records("io"), 0);
    assert_eq!(take(&mut fake, &mut phb, at(0, 2, 0)), Ok(()));
    assert!(fake.said.contains("what=first-word address=0x200100000000 value=0x1234"), "{}", fake.said);
    assert_eq!(fake.said.matches("driver=none").count(), 2);
}

#[test]
fn a_function_that_went_away_is_let_go() {
    let (mut fake, mut phb) = machine([(at(0, 1, 0), e1000())]);
    let known = expected(&fake, at(0, 1, 0));
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    fake.devices.clear();
    assert_eq!(act(&mut fake, &mut phb, known, |function| function.stop()), Ok(()));
    assert_eq!(phb.taken, []);
}

#[test]
fn a_bridge_gets_a_bus_and_windows_and_what_is_behind_it_goes_there() {
    let bridge = || Device::new(0x1b36, 1, 0x6_0400, 1);
    let (mut fake, mut phb) = machine([(at(0, 1, 0), bridge()), (at(0, 2, 0), e1000())]);
    assert_eq!(take(&mut fake, &mut phb, at(0, 1, 0)), Ok(()));
    assert_eq!(take(&mut fake, &mut phb, at(0, 2, 0)), Ok(()));
    assert_eq!(fake.devices[&at(0, 1, 0)].get(register::PRIMARY, 4), 0x0001_0100);
    assert_eq!(fake.devices[&at(0, 2, 0)].get(register::BAR0, 4), 0x8100_0000, "behind the bridge's window");
    // A bridge behind the bridge, and a function behind that.
    fake.devices.extend([(at(1, 0, 0), bridge()), (at(2, 0, 0), Device::virtio(VERSION_1, false))]);
    assert_eq!(take(&mut fake, &mut phb, at(1, 0, 0)), Ok(()));
    assert_eq!(fake.devices[&at(1, 0, 0)].get(register::PRIMARY, 4), 0x0002_0201);
    assert_eq!(fake.devices[&at(0, 1, 0)].get(register::PRIMARY, 4), 0x0002_0100, "the upper bridge learns");
    assert_eq!(take(&mut fake, &mut phb, at(2, 0, 0)), Ok(()));
    let taken = phb.taken_on(2);
    let within = phb.windows_of(2, true);
    assert!(taken.iter().all(|span| {
        within.iter().any(|window| window.real_address(span.space, span.base, span.size).is_some())
    }));
    assert_eq!(phb.bridges.len(), 2);
    assert_eq!(stop(&mut fake, &mut phb, at(1, 0, 0)), Ok(()));
    assert_eq!(fake.devices[&at(1, 0, 0)].get(register::MEMORY_WINDOW, 4), 0xfff0);
    assert_eq!(phb.bridges.len(), 1);
}

#[test]
fn behind_a_bridge_nobody_has_opened_nothing_fits() {
    let (mut fake, mut phb) = machine([(at(5, 1, 0), e1000())]);
    assert!(take(&mut fake, &mut phb, at(5, 1, 0)).is_err());
    assert!(is_at_rest(&fake.devices[&at(5, 1, 0)]));
}
