//! The payload: the guest's life, from the firmware's jump to power-off.

#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

#[cfg(target_arch = "powerpc64")]
paprika::entry!(life);

#[cfg(target_arch = "powerpc64")]
fn life(mut machine: paprika::arch::powerpc64::Powerpc64) -> ! {
    paprika::agent::journal::say(&mut machine, &paprika::log::Record::Note { text: "hello".into() });
    panic!("the end");
}

/// On any other machine there is nothing to run.
#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    eprintln!(
        "This is Paprika's guest, which runs on ppc64 only: build it with `make payload`, boot it with `make boot`."
    );
    std::process::exit(2);
}
