//! Writes that wait until somebody reads, or until the turn ends: on PostgreSQL
//! they go together, in one statement, where each would be a way there and back.

use super::Arg;

/// Writes of different tables, so that their order does not matter.
#[derive(Debug, Default)]
pub(super) struct Later(Vec<Write>);

/// A write of one table, which reads no other.
#[derive(Debug)]
pub(super) struct Write {
    pub sql: &'static str,
    pub args: Vec<Arg>,
}

impl Later {
    /// Whether a write of the same table waits. In one statement neither would
    /// see what the other one did.
    pub(super) fn holds_table_of(&self, write: &Write) -> bool {
        self.0.iter().any(|held| held.table() == write.table())
    }

    pub(super) fn add(&mut self, write: Write) {
        debug_assert!(!write.sql.contains("SELECT"), "it reads: {}", write.sql);
        self.0.push(write);
    }

    /// Lets go of them unwritten.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, to be written now.
    pub(super) fn take(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.0)
    }
}

impl Write {
    /// The table that it changes.
    fn table(&self) -> Option<&str> {
        let mut words = self.sql.split_whitespace();
        match words.next() {
            Some("UPDATE") => words.next(),
            // INSERT INTO, DELETE FROM.
            _ => words.nth(1),
        }
    }
}

/// One statement of PostgreSQL that does what all of `writes` do.
pub(super) fn joined(writes: &[Write]) -> String {
    let mut statement = String::new();
    let mut taken = 0;
    for (index, write) in writes.iter().enumerate() {
        let is_last = index + 1 == writes.len();
        let opening = match index {
            _ if is_last => " ".to_owned(),
            0 => format!("WITH write_{index} AS ("),
            _ => format!(", write_{index} AS ("),
        };
        statement.push_str(&opening);
        renumber(write.sql, taken, &mut statement);
        if !is_last {
            statement.push(')');
        }
        taken += write.args.len();
    }
    statement
}

/// Writes `sql` to `out`, its `$1` as the one after `taken` others.
fn renumber(sql: &str, taken: usize, out: &mut String) {
    let mut parts = sql.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|char: char| !char.is_ascii_digit());
        let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
        // INVARIANT: statements of ours have a number after each `$`.
        let number: usize = digits.parse().unwrap_or_default();
        out.push('$');
        out.push_str(&(number + taken).to_string());
        out.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    fn write(sql: &'static str, args: &[Arg]) -> Write {
        Write {
            sql,
            args: args.to_vec(),
        }
    }

    #[test]
    fn several_writes_are_one_statement_with_the_arguments_of_all() {
        let writes = [
            write(
                "UPDATE a SET x = $1, y = $1 WHERE id = $2",
                args![1_i64, "a"],
            ),
            write("DELETE FROM b WHERE id = $1", args!["b"]),
            write("INSERT INTO c (x, y) VALUES ($2, $1)", args!["c", "d"]),
        ];
        let expected = "WITH write_0 AS (UPDATE a SET x = $1, y = $1 WHERE id = $2), \
             write_1 AS (DELETE FROM b WHERE id = $3) INSERT INTO c (x, y) VALUES ($5, $4)";
        assert_eq!(joined(&writes), expected);
    }

    #[test]
    fn two_writes_of_a_table_do_not_wait_together() {
        let mut later = Later::default();
        later.add(write("UPDATE changes SET x = 1", &[]));
        let holds = |sql| later.holds_table_of(&write(sql, &[]));
        assert!(holds("INSERT INTO changes (x) VALUES (1)"));
        assert!(holds("DELETE FROM changes WHERE x = 1"));
        assert!(holds("UPDATE changes SET y = 1"));
        assert!(!holds("UPDATE claims SET x = 1"));
        assert!(!holds("INSERT INTO events (changes) VALUES (1)"));
    }
}
