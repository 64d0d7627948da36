//! The hand tool, built beside the tests in which people use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenantry_cli::run()
}
