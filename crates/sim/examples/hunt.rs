//! Walks the seeds from zero on and stops at the first that breaks a promise or an assertion. The
//! museum runs it over each mutant; a sound core lets it walk to the end.
//!
//! ```text
//!   hunt WALKS      prints `seed N: promise` and ends with 1, or prints nothing and ends with 0
//! ```

use std::panic::set_hook;
use std::process::ExitCode;

use sim::{Options, walk};

fn main() -> ExitCode {
    let Some(walks) = std::env::args().nth(1).and_then(|walks| walks.parse::<u64>().ok()) else {
        eprintln!("usage: hunt WALKS");
        return ExitCode::from(2);
    };
    // A broken assertion is a find, not news for the terminal.
    set_hook(Box::new(|_| {}));
    for seed in 0..walks {
        if let Some(violation) = walk(seed, &Options::drawn(seed)).violation {
            println!("seed {seed}: {}", violation.promise);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
