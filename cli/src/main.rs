//! The hand tool `tenantry`, which is `kubectl mcp` as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenantry_cli::run()
}
