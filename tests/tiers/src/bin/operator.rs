//! The operator's program, built beside the tests that start, stop and kill it.

fn main() -> anyhow::Result<()> {
    tenantry_operator::program::main()
}
