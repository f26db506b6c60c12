//! `paprika`: see `paprika --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(paprika_harness::cli::main())
}
