//! `dialroom-loadgen`: RTP load and delay probes for benchmarks, on loopback only.
//!
//! Every mode prints one JSON object per line on stdout and stops by itself. `load` and `delay` first print the
//! addresses they send from, then read from stdin one address per line that each of them is to send to.

mod load;
mod options;
mod phone;
mod probe;
mod reflect;
// The media process's own file: one place where these calls are made and audited. Not all of them are needed here.
#[allow(dead_code)]
#[path = "../../daemon/src/syscall.rs"]
mod syscall;
mod voice;

use std::process::ExitCode;

use options::{Mode, Options, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let done = Options::read(&arguments).and_then(|options| {
        let run = match options.mode {
            Mode::Reflect => reflect::run,
            Mode::Load => load::run,
            Mode::Delay => probe::run,
        };
        run(&options).map_err(|error| format!("{}: {error}", options.mode.name()))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dialroom-loadgen: {message}");
            ExitCode::FAILURE
        }
    }
}
