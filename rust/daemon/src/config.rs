//! Flags and environment of the media process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::secret::{SHORTEST, Secret};

/// What `--help` prints.
pub const USAGE: &str = "dialroom-media: the media process of dialroom

  --control ADDRESS      where the control plane connects: unix:/path or tcp:host:port; who comes by TCP has to know
                         the secret in DIALROOM_MEDIA_SECRET
  --rtp-address IP       address to receive media on (default 0.0.0.0)
  --advertise IP[,IP]    addresses told to phones (the first of each family) and browsers (all); default: --rtp-address,
                         or the machine's own address where that is 0.0.0.0
  --rtp-ports LOW-HIGH   ports for phones (default 20000-29999; 0 lets the system choose each)
  --webrtc-port PORT     UDP and TCP port for browsers (default 7882; 0 lets the system choose)
  --linger SECONDS       end, and with it all calls, when no control plane has been connected for so long (default
                         600; 0: never)
  --log json|text        shape of the log (default json)
  --log-file PATH        where the log goes (default: stderr); after 20 MiB it becomes PATH.1, and begins anew

Each flag can also be given in the environment: DIALROOM_MEDIA_CONTROL, DIALROOM_MEDIA_RTP_ADDRESS, and so on.";

/// Where the control plane connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlAddress {
    /// A Unix socket; only this user may connect.
    Unix(PathBuf),
    /// A TCP address. Who connects has to know the secret; nothing is encrypted: keep it on a private network.
    Tcp(String),
}

impl FromStr for ControlAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            _ => Err(format!("{text:?} is no control address; write unix:/path or tcp:host:port")),
        }
    }
}

/// Which ports phones send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port; 0 lets the system choose each.
    pub low: u16,
    /// Last port.
    pub high: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self { low: 0, high: 0 });
        }
        let range = text
            .split_once('-')
            .and_then(|(low, high)| Some(Self { low: low.trim().parse().ok()?, high: high.trim().parse().ok()? }));
        match range {
            Some(range) if range.low >= 1024 && range.high > range.low => Ok(range),
            _ => Err(format!("{text:?} is no range of ports; write for example 20000-29999")),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogShape {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the control plane connects.
    pub control: ControlAddress,
    /// Address that media sockets are bound to.
    pub rtp_address: IpAddr,
    /// Addresses told to others.
    pub advertise: Vec<IpAddr>,
    /// Ports for phones.
    pub rtp_ports: PortRange,
    /// Port for browsers.
    pub webrtc_port: u16,
    /// What a control plane has to know that comes by TCP.
    pub secret: Option<Secret>,
    /// How long to go on without a control plane; for ever without it.
    pub linger: Option<Duration>,
    /// Shape of the log.
    pub log: LogShape,
    /// Where it goes, if not to stderr.
    pub log_file: Option<PathBuf>,
}

impl Config {
    /// Reads flags, then the environment through `env`, then defaults. The error says what to write instead.
    pub fn read(arguments: &[String], env: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let flags = read_flags(arguments)?;
        let value = |name: &str| {
            let flag = flags.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.clone());
            flag.or_else(|| env(&format!("DIALROOM_MEDIA_{}", name.replace('-', "_").to_uppercase())))
        };
        let control =
            value("control").ok_or("--control is missing; write for example --control unix:/run/media.sock")?;
        let rtp_address = value("rtp-address").map_or(Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), |text| {
            text.parse().map_err(|_| format!("--rtp-address {text:?} is no IP address"))
        })?;
        let control: ControlAddress = control.parse()?;
        Ok(Self {
            secret: read_secret(&control, env("DIALROOM_MEDIA_SECRET"))?,
            control,
            rtp_address,
            advertise: read_advertised(value("advertise").as_deref(), rtp_address)?,
            rtp_ports: value("rtp-ports").as_deref().unwrap_or("20000-29999").parse()?,
            webrtc_port: value("webrtc-port")
                .map_or(Ok(7882), |text| text.parse().map_err(|_| format!("--webrtc-port {text:?} is no port")))?,
            linger: read_linger(value("linger").as_deref().unwrap_or("600"))?,
            log: match value("log").as_deref() {
                None | Some("json") => LogShape::Json,
                Some("text") => LogShape::Text,
                Some(other) => return Err(format!("--log {other:?} is neither json nor text")),
            },
            log_file: value("log-file").map(PathBuf::from),
        })
    }
}

const FLAGS: [&str; 8] =
    ["control", "rtp-address", "advertise", "rtp-ports", "webrtc-port", "linger", "log", "log-file"];

fn read_linger(text: &str) -> Result<Option<Duration>, String> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_) => Err(format!("--linger {text:?} is no number of seconds")),
    }
}

/// A Unix socket is guarded by the rights of its file.
fn read_secret(control: &ControlAddress, text: Option<String>) -> Result<Option<Secret>, String> {
    match control {
        ControlAddress::Unix(_) => Ok(None),
        ControlAddress::Tcp(_) => match Secret::new(&text.unwrap_or_default()) {
            Some(secret) => Ok(Some(secret)),
            None => Err(format!(
                "--control tcp: lets in only who knows a secret; set DIALROOM_MEDIA_SECRET to {SHORTEST} or more \
                 characters, the same here and for the server"
            )),
        },
    }
}

fn read_flags(arguments: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut flags = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").ok_or(format!("{argument:?} is no flag; see --help"))?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        if !FLAGS.contains(&name) {
            return Err(format!("--{name} is unknown; see --help"));
        }
        let value = value.or_else(|| arguments.next().cloned()).ok_or(format!("--{name} needs a value"))?;
        flags.push((name.to_owned(), value));
    }
    Ok(flags)
}

fn read_advertised(text: Option<&str>, bound: IpAddr) -> Result<Vec<IpAddr>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(vec![if bound.is_unspecified() { own_address() } else { bound }]);
    };
    text.split(',')
        .map(|part| part.trim().parse().map_err(|_| format!("--advertise {part:?} is no IP address")))
        .collect()
}

/// The address this machine would send from to the wide world; loopback without a network. Nothing is sent.
fn own_address() -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(probe) = std::net::UdpSocket::bind("0.0.0.0:0") else {
        return loopback;
    };
    let documentation = SocketAddr::from(([192, 0, 2, 1], 9));
    let chosen = probe.connect(documentation).and_then(|()| probe.local_addr());
    chosen.map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Config, String> {
        let env = |name: &str| (name == "DIALROOM_MEDIA_SECRET").then(|| "a secret of ours".to_owned());
        Config::read(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), env)
    }

    #[test]
    fn flags_are_read_and_the_rest_has_defaults() {
        let config = read(&["--control", "tcp:127.0.0.1:9", "--rtp-ports=4000-4010", "--advertise", "192.0.2.1,::1"]);
        let config = config.unwrap();
        assert_eq!(config.control, ControlAddress::Tcp("127.0.0.1:9".into()));
        assert_eq!(config.rtp_ports, PortRange { low: 4000, high: 4010 });
        assert_eq!(config.advertise.len(), 2);
        assert_eq!(config.webrtc_port, 7882);
        assert_eq!(config.log, LogShape::Json);
        assert_eq!(config.linger, Some(Duration::from_secs(600)));
    }

    #[test]
    fn by_tcp_nobody_is_served_without_a_secret_and_by_a_unix_socket_none_is_asked_for() {
        let bare = |control: &str| Config::read(&["--control".to_owned(), control.to_owned()], |_| None);
        assert!(bare("tcp:127.0.0.1:9").unwrap_err().contains("DIALROOM_MEDIA_SECRET"));
        assert!(bare("unix:/x").unwrap().secret.is_none());
        assert!(read(&["--control", "tcp:127.0.0.1:9"]).unwrap().secret.is_some());
        assert!(read(&["--control", "unix:/x"]).unwrap().secret.is_none());
    }

    #[test]
    fn a_process_goes_on_for_ever_only_if_told_so() {
        assert_eq!(read(&["--control", "unix:/x", "--linger", "0"]).unwrap().linger, None);
        assert_eq!(read(&["--control", "unix:/x", "--linger=7"]).unwrap().linger, Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_environment_counts_where_no_flag_is_given() {
        let env = |name: &str| match name {
            "DIALROOM_MEDIA_CONTROL" => Some("unix:/tmp/x".to_owned()),
            "DIALROOM_MEDIA_WEBRTC_PORT" => Some("0".to_owned()),
            _ => None,
        };
        let config = Config::read(&["--webrtc-port".to_owned(), "9000".to_owned()], env).unwrap();
        assert_eq!(config.control, ControlAddress::Unix("/tmp/x".into()));
        assert_eq!(config.webrtc_port, 9000);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_to_write() {
        for (arguments, part) in [
            (&[][..], "--control is missing"),
            (&["--control", "/tmp/x"], "unix:/path"),
            (&["--control", "unix:/x", "--rtp-ports", "9-5"], "20000-29999"),
            (&["--control", "unix:/x", "--advertise", "example.org"], "no IP address"),
            (&["--control", "unix:/x", "--speed", "9"], "--speed is unknown"),
            (&["--control"], "needs a value"),
            (&["--control", "unix:/x", "--linger", "-1"], "no number of seconds"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
