//! What to do, from the command line.

use std::time::Duration;

/// What `--help` prints.
pub const USAGE: &str = "dialroom-loadgen: RTP load on loopback, for benchmarks

  reflect   sends every datagram back to where it came from
  load      phones that send G.711 each 20 ms; 3 of 10 speak, the others send quiet line noise
  delay     pairs of phones; the first of each pair sends short tones, the second listens for them

  --legs N        phones (load: default 100; delay: must be even; at most 4000)
  --seconds S     how long is measured (default 3; at most 120). reflect: when it stops by itself
  --warm-up S     load: how long before (default 1)
  --tick MS       reflect: collects datagrams for so long before it answers (default 4, as the media process does; 0 answers at once)";

const MOST_LEGS: usize = 4000;
const LONGEST: f64 = 120.0;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Send every datagram back.
    Reflect,
    /// Many phones.
    Load,
    /// Pairs of phones that measure the way from one to the other.
    Delay,
}

impl Mode {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reflect => "reflect",
            Self::Load => "load",
            Self::Delay => "delay",
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What it does.
    pub mode: Mode,
    /// Phones.
    pub legs: usize,
    /// How long is measured.
    pub measured: Duration,
    /// How long before.
    pub warm_up: Duration,
    /// How long the reflector collects.
    pub tick: Duration,
}

impl Options {
    /// Reads the command line; the error says what to write instead.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        let (mode, flags) = arguments.split_first().ok_or("say what to do: reflect, load or delay; see --help")?;
        let mode = match mode.as_str() {
            "reflect" => Mode::Reflect,
            "load" => Mode::Load,
            "delay" => Mode::Delay,
            other => return Err(format!("{other:?} is none of reflect, load, delay; see --help")),
        };
        let mut options = Self {
            mode,
            legs: 100,
            measured: Duration::from_secs(3),
            warm_up: Duration::from_secs(1),
            tick: Duration::from_millis(4),
        };
        for pair in flags.chunks(2) {
            let [flag, value] = pair else { return Err(format!("{:?} needs a value; see --help", pair[0])) };
            match flag.as_str() {
                "--legs" => options.legs = legs(value)?,
                "--seconds" => options.measured = duration(flag, value, 1.0)?,
                "--warm-up" => options.warm_up = duration(flag, value, 1.0)?,
                "--tick" => options.tick = duration(flag, value, 1e-3)?,
                other => return Err(format!("{other:?} is unknown; see --help")),
            }
        }
        if mode == Mode::Delay && options.legs % 2 == 1 {
            return Err("--legs must be even: delay works in pairs".to_owned());
        }
        Ok(options)
    }
}

fn legs(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(legs @ 1..=MOST_LEGS) => Ok(legs),
        _ => Err(format!("--legs {value:?} is not between 1 and {MOST_LEGS}")),
    }
}

fn duration(flag: &str, value: &str, unit: f64) -> Result<Duration, String> {
    match value.parse::<f64>().map(|value| value * unit) {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("{flag} {value:?} is not between 0 and {LONGEST} s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_in_their_units() {
        let options = read("load --legs 20 --seconds 1.5 --tick 2").unwrap();
        assert_eq!((options.mode, options.legs), (Mode::Load, 20));
        assert_eq!(options.measured, Duration::from_millis(1500));
        assert_eq!(options.tick, Duration::from_millis(2));
    }

    #[test]
    fn nothing_runs_without_bounds() {
        for line in [
            "",
            "flood",
            "load --legs 0",
            "load --legs 4001",
            "load --seconds 121",
            "load --seconds nan",
            "load --legs",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(read("delay --legs 3").unwrap_err().contains("pairs"));
    }
}
