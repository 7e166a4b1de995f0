//! The one line that a run prints.

use std::fmt;
use std::time::Duration;

/// Figures by their names, which carry the unit.
pub struct Report {
    figures: Vec<(&'static str, f64)>,
    ops: u64,
}

impl Report {
    pub fn new(ops: u64) -> Self {
        let figures = Vec::new();
        Self { figures, ops }
    }

    /// What one operation took.
    pub fn of(elapsed: Duration, ops: u64) -> Self {
        Self::new(ops).per_op("ns_per_op", elapsed)
    }

    /// A share of each operation in a time.
    pub fn per_op(self, name: &'static str, time: Duration) -> Self {
        // Operation counts are far below 2^53, so the conversion is exact.
        let ns_per_op = time.as_secs_f64() * 1e9 / self.ops as f64;
        self.with(name, ns_per_op)
    }

    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push((name, value));
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{")?;
        for (name, value) in &self.figures {
            write!(f, "\"{name}\":{value:.3},")?;
        }
        write!(f, "\"ops\":{}}}", self.ops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_json_with_the_cost_of_one_operation() {
        let report = Report::of(Duration::from_millis(3), 2_000).with("bytes", 8.0);
        assert_eq!(
            report.to_string(),
            r#"{"ns_per_op":1500.000,"bytes":8.000,"ops":2000}"#
        );
    }
}
