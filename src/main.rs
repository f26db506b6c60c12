//! The payload: the guest's life, from the firmware's jump to its last line.

#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

#[cfg(target_arch = "powerpc64")]
paprika::entry!(life);

/// What a guest does, in the order in which an operating system would.
#[cfg(target_arch = "powerpc64")]
fn life(machine: paprika::arch::powerpc64::Powerpc64) -> ! {
    use paprika::agent::guest::{Chapter, Guest};
    use paprika::agent::trees::When;
    use paprika::arch::powerpc64::Powerpc64;

    fn story(guest: &mut Guest<Powerpc64>) -> Chapter {
        if !guest.begin_anew()? {
            guest.meet_the_firmware()?;
            guest.read_the_tree(When::BeforeCas)?;
            guest.negotiate()?;
            guest.read_the_tree(When::AfterCas)?;
            guest.bring_up_rtas()?;
            guest.let_the_firmware_go();
        }
        guest.recall();
        guest.take_what_the_tree_gives()?;
        guest.install_the_handler()?;
        guest.arm_the_handler()?;
        guest.live()
    }

    let mut guest = Guest::new(machine);
    let life = story(&mut guest);
    guest.end(life)
}

/// On any other machine there is nothing to run.
#[cfg(not(target_arch = "powerpc64"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "This is Paprika's guest, which runs on ppc64 only. Build it with `make payload`, boot it with `make boot`."
    );
    std::process::ExitCode::from(2)
}
