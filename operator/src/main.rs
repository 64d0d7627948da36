//! The operator's program.

fn main() -> anyhow::Result<()> {
    tenantry_operator::program::main()
}
