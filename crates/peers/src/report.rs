//! The one line that a run prints.

use std::fmt;
use std::time::Duration;

pub struct Report {
    pub elapsed: Duration,
    pub ops: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Operation counts are far below 2^53, so the conversion is exact.
        let ns_per_op = self.elapsed.as_secs_f64() * 1e9 / self.ops as f64;
        write!(f, "{{\"ns_per_op\":{ns_per_op:.3},\"ops\":{}}}", self.ops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_json_with_the_cost_of_one_operation() {
        let report = Report {
            elapsed: Duration::from_millis(3),
            ops: 2_000,
        };
        assert_eq!(report.to_string(), r#"{"ns_per_op":1500.000,"ops":2000}"#);
    }
}
