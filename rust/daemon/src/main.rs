//! `dialroom-media`: the media process.
//!
//! Threads: this one moves packets; `link` writes to the control plane; `accept` and `control n` read from it;
//! `recorder` writes files; `signals` waits for the end. They share nothing but channels. What a bug in one of them
//! ends is told in [`threads`].

mod config;
mod control;
mod link;
mod logfile;
mod recorder;
mod secret;
mod sockets;
mod stream;
mod streams;
mod syscall;
mod threads;
mod worker;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dialroom_media::{Shard, ShardConfig};
use dialroom_protocol::PROTOCOL_VERSION;
use dialroom_rtc::{Certificate, PeerConfig};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Config, ControlAddress, LogShape, USAGE};
use crate::control::{Channels, Door, Listener};
use crate::link::{Link, ToLink};
use crate::logfile::LogFile;
use crate::recorder::{Recorder, Told};
use crate::sockets::{Sockets, number};
use crate::streams::Streams;
use crate::syscall::{Epoll, StopSignals, Waker};
use crate::threads::{End, start_vital};
use crate::worker::{ToWorker, Work, Worker};

/// Commands that wait for the packet thread before the control plane has to.
const WAITING_COMMANDS: usize = 1024;
/// How often another port for browsers is tried where the system chooses it.
const MORE_TRIES: usize = 10;
/// How long a browser that lost its connection may take to come back.
const DISCONNECT_GRACE: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--version") {
        println!("dialroom-media {} (protocol {PROTOCOL_VERSION})", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let config = match Config::read(&arguments, |name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("dialroom-media: {message}");
            return ExitCode::from(2);
        }
    };
    match start_log(&config).and_then(|()| run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dialroom-media: {message}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_from_env("DIALROOM_MEDIA_LOG_FILTER").unwrap_or_else(|_| {
        // The WebRTC library tells of every candidate; ours is told by us.
        EnvFilter::new("info,str0m=error,is=error,dimpl=error")
    });
    let writer = match &config.log_file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(LogFile::open(path).map_err(|error| {
            format!("the log cannot be written to {}: {error}; choose another --log-file", path.display())
        })?)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match config.log {
        LogShape::Json => log.json().flatten_event(true).init(),
        LogShape::Text => log.with_ansi(false).init(),
    }
    threads::log_panics();
    Ok(())
}

fn run(config: &Config) -> Result<(), String> {
    let signals = StopSignals::block();
    let open_files = syscall::raise_open_files();
    let internal = |error: io::Error| format!("the system refused: {error}");
    let now = Instant::now();

    let waker = Arc::new(Waker::new().map_err(internal)?);
    let (sockets, streams, web_rtc_port) = tried(config.webrtc_port, || bind_media(config, &waker, now))?;
    let listener = Listener::bind(&config.control)?;

    let (to_worker, inbox) = sync_channel::<ToWorker>(WAITING_COMMANDS);
    let (to_link, link_inbox) = channel::<ToLink>();
    let instance = random_name()?;
    let link = Link::new(instance.clone());
    let end = End::new(waker.clone());
    let (abandoned, linger) = (end.clone(), config.linger);
    start_vital("link", &end, move || link.run(&link_inbox, linger, || abandoned.begin()))?;

    let channels = Channels { worker: to_worker, waker: waker.clone(), link: to_link.clone() };
    let recorder = start_recorder(&channels)?;
    let url = listener.url(&config.control);
    let door = Door::new(listener, channels, config.secret.clone());
    start_vital("accept", &end, move || door.serve())?;
    let stopped = end.clone();
    start_vital("signals", &end, move || {
        signals.wait();
        stopped.begin();
        // The process ends in good order: so must this thread not before it.
        loop {
            std::thread::park();
        }
    })?;

    let shard = Shard::new(shard_config(config, web_rtc_port, &instance)?, now);
    tell_ready(config, &url, web_rtc_port).map_err(internal)?;
    tracing::info!(instance, control = url, web_rtc_port, open_files, "the media process is ready");
    let worker = Worker { shard, sockets, streams, inbox, waker, link: to_link, recorder, end: end.clone() };
    let result = worker.run().map_err(internal).and_then(|()| end.failure().map_or(Ok(()), Err));
    if let ControlAddress::Unix(path) = &config.control {
        // Whoever starts next removes it otherwise.
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("the media process ends");
    result
}

/// UDP and TCP have one number for browsers. Where the system chooses it for UDP, TCP may not have it: then another is
/// tried.
fn tried<T>(port: u16, bind: impl Fn() -> Result<T, String>) -> Result<T, String> {
    let again = if port == 0 { MORE_TRIES } else { 0 };
    (0..again).fold(bind(), |bound, _| bound.or_else(|_| bind()))
}

fn bind_media(config: &Config, waker: &Waker, now: Instant) -> Result<(Sockets, Streams, u16), String> {
    let internal = |error: io::Error| format!("the system refused: {error}");
    let epoll = Epoll::new().map_err(internal)?;
    epoll.watch(waker, number::WAKER).map_err(internal)?;
    let (address, port) = (config.rtp_address, config.webrtc_port);
    let mut sockets = Sockets::new(epoll, address, config.rtp_ports, port).map_err(|error| {
        format!(
            "UDP port {port} at {address} cannot be used for browsers: {error}; choose --webrtc-port or --rtp-address"
        )
    })?;
    let port = sockets.web_rtc_address().map_err(internal)?.port();
    let streams = Streams::new(SocketAddr::new(address, port), sockets.epoll(), now)
        .map_err(|error| format!("TCP port {port} cannot be used for browsers: {error}; choose --webrtc-port"))?;
    Ok((sockets, streams, port))
}

fn start_recorder(channels: &Channels) -> Result<Recorder, String> {
    let channels = channels.clone();
    let told = move |told: Told| {
        let sent = match told {
            Told::Answer(token, answer) => {
                let reply = ToLink::Reply { connection: token.connection, id: token.request, answer };
                channels.link.send(reply).is_ok()
            }
            Told::Failed(tap) => {
                let message = ToWorker { connection: 0, request: 0, work: Work::RecordingFailed(tap) };
                let sent = channels.worker.send(message).is_ok();
                channels.waker.wake();
                sent
            }
        };
        if !sent {
            tracing::warn!("the process stops: what the recorder said is lost");
        }
    };
    Recorder::start(told).map_err(|error| format!("the system gives no thread: {error}"))
}

fn shard_config(config: &Config, web_rtc_port: u16, instance: &str) -> Result<ShardConfig, String> {
    let certificate = Certificate::generate().ok_or("no DTLS certificate could be made")?;
    let mut peers = PeerConfig::new(certificate);
    let candidates: Vec<SocketAddr> =
        config.advertise.iter().map(|address| SocketAddr::new(*address, web_rtc_port)).collect();
    peers.udp.clone_from(&candidates);
    peers.tcp = candidates;
    peers.disconnect_grace = DISCONNECT_GRACE;
    let mut random = open_random()?;
    Ok(ShardConfig {
        addresses: config.advertise.clone(),
        peers,
        cname: format!("dialroom-{instance}"),
        unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        entropy: Box::new(move |bytes| {
            // Without randomness every stream could be guessed: the command that needs it fails instead.
            random.read_exact(bytes).expect("the system's random source can be read");
        }),
    })
}

fn open_random() -> Result<File, String> {
    File::open("/dev/urandom").map_err(|error| format!("/dev/urandom cannot be opened: {error}"))
}

fn random_name() -> Result<String, String> {
    let mut bytes = [0; 8];
    open_random()?.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One line of JSON on stdout: for whoever started the process, and may have left ports to the system.
fn tell_ready(config: &Config, url: &str, web_rtc_port: u16) -> io::Result<()> {
    let line = serde_json::json!({
        "ready": true,
        "protocol": PROTOCOL_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "control": url,
        "rtp_ports": [config.rtp_ports.low, config.rtp_ports.high],
        "webrtc_port": web_rtc_port,
        "addresses": config.advertise.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_port_that_the_system_chose_and_that_is_taken_is_exchanged_for_another_and_ours_is_not() {
        let calls = Cell::new(0);
        let bind = || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(format!("taken {}", calls.get())) } else { Ok(calls.get()) }
        };
        assert_eq!(tried(0, bind), Ok(3));
        calls.set(0);
        assert_eq!(tried(7882, bind), Err("taken 1".to_owned()));
        assert_eq!(calls.get(), 1);
    }
}
