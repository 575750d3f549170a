//! One room for browsers, to try the crate with a real one: `cargo run --example one_room -- <address of this machine>`,
//! then open `http://localhost:8088/` in several tabs. The smallest loop that drives `Peer`, `Demux` and `Router`.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dialroom_rtc::{
    Certificate, Demux, ENTROPY_BYTES, IceCredentials, Line, MediaKind, Mid, Origin, Output, Peer, PeerAddress,
    PeerConfig, PeerEvent, PeerKey, Protocol, Route, Router, RouterOutput, Source, TrackDescription, tcp,
};

const PAGE: &str = include_str!("one_room.html");

/// A request from the page, and where its answer goes.
struct Request {
    path: String,
    body: String,
    answer: Sender<String>,
}

struct Connection {
    stream: TcpStream,
    framer: tcp::Framer,
}

struct Server {
    config: PeerConfig,
    udp: UdpSocket,
    demux: Demux,
    router: Router,
    peers: HashMap<PeerKey, Peer>,
    connections: HashMap<SocketAddr, Connection>,
    next: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address: IpAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1".into()).parse()?;
    let media = SocketAddr::new(address, 7882);
    let udp = UdpSocket::bind(media)?;
    udp.set_read_timeout(Some(Duration::from_millis(2)))?;
    let listener = TcpListener::bind(media)?;
    listener.set_nonblocking(true)?;
    let mut config = PeerConfig::new(Certificate::generate().ok_or("no certificate")?);
    // `one_room <address> tcp` offers ICE-TCP alone.
    if std::env::args().nth(2).as_deref() != Some("tcp") {
        config.udp = vec![media];
    }
    config.tcp = vec![media];
    let requests = serve_http(TcpListener::bind("127.0.0.1:8088")?);
    println!("open http://localhost:8088/ (media on {media})");
    let mut server = Server {
        config,
        udp,
        demux: Demux::new(0),
        router: Router::new(),
        peers: HashMap::new(),
        connections: HashMap::new(),
        next: 0,
    };
    loop {
        server.turn(&listener, &requests, media)?;
    }
}

impl Server {
    fn turn(&mut self, listener: &TcpListener, requests: &Receiver<Request>, media: SocketAddr) -> std::io::Result<()> {
        let mut buffer = [0; 2048];
        match self.udp.recv_from(&mut buffer) {
            Ok((length, source)) => self.datagram(Protocol::Udp, source, media, &buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if let Ok((stream, source)) = listener.accept() {
            stream.set_nonblocking(true)?;
            self.connections.insert(source, Connection { stream, framer: tcp::Framer::new() });
        }
        self.read_connections(media);
        while let Ok(request) = requests.try_recv() {
            let answer = self.request(&request).unwrap_or_else(|error| format!("error: {error}"));
            let _ = request.answer.send(answer);
        }
        self.router.handle_timeout(Instant::now());
        for key in self.peers.keys().copied().collect::<Vec<_>>() {
            self.drive(key);
        }
        self.route();
        Ok(())
    }

    fn read_connections(&mut self, media: SocketAddr) {
        let (mut frames, mut closed, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
        for (source, connection) in &mut self.connections {
            match connection.stream.read(&mut buffer) {
                Ok(0) => closed.push(*source),
                Ok(length) => connection.framer.push(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => closed.push(*source),
            }
            while let Ok(Some(frame)) = connection.framer.next_frame() {
                frames.push((*source, frame.to_vec()));
            }
        }
        for source in closed {
            self.connections.remove(&source);
        }
        for (source, frame) in frames {
            self.datagram(Protocol::Tcp, source, media, &frame);
        }
    }

    fn datagram(&mut self, protocol: Protocol, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if let Route::Peer(key) = self.demux.route(protocol, source, bytes)
            && let Some(peer) = self.peers.get_mut(&key)
        {
            peer.handle_datagram(Instant::now(), protocol, source, destination, bytes);
        }
    }

    /// Drains one peer, letting its time pass once.
    fn drive(&mut self, key: PeerKey) {
        let now = Instant::now();
        let mut ticked = false;
        while let Some(peer) = self.peers.get_mut(&key) {
            match peer.poll(now) {
                Output::Transmit(out) if out.protocol == Protocol::Udp => {
                    let _ = self.udp.send_to(&out.bytes, out.destination);
                }
                Output::Transmit(out) => {
                    let mut frame = Vec::new();
                    if let Some(connection) = self.connections.get_mut(&out.destination)
                        && tcp::write_frame(&out.bytes, &mut frame)
                    {
                        let _ = connection.stream.write_all(&frame);
                    }
                }
                Output::Event(event) => self.event(now, key, event),
                Output::Timeout(at) if at <= now && !ticked => {
                    ticked = true;
                    peer.handle_timeout(now);
                }
                Output::Timeout(_) => break,
            }
        }
    }

    fn event(&mut self, now: Instant, key: PeerKey, event: PeerEvent) {
        match event {
            PeerEvent::Rtp(packet) => {
                self.router.handle_rtp(now, key, &packet);
            }
            PeerEvent::KeyframeRequest { mid } => self.router.handle_keyframe_request(now, key, mid),
            PeerEvent::RemoteAddress { protocol, address } => self.demux.learn(key, protocol, address),
            PeerEvent::Ended { reason } => {
                println!("{key:?} ended: {reason}");
                self.router.remove_peer(now, key);
                self.demux.forget(key);
                self.peers.remove(&key);
            }
            PeerEvent::Stats(stats) => {
                let profile = self.peers.get(&key).and_then(Peer::srtp_profile);
                println!("{key:?} {profile:?} {stats:?}");
            }
            other => println!("{key:?} {other:?}"),
        }
    }

    fn route(&mut self) {
        let now = Instant::now();
        while let Some(output) = self.router.poll() {
            match output {
                RouterOutput::Write { peer, mid, packet } => {
                    if let Some(Err(error)) = self.peers.get_mut(&peer).map(|peer| peer.write(now, mid, packet)) {
                        println!("{peer:?} {mid}: {error:?}");
                    }
                }
                RouterOutput::RequestKeyframe { peer, mid } => {
                    if let Some(peer) = self.peers.get_mut(&peer) {
                        peer.request_keyframe(now, mid);
                    }
                }
                other => println!("{other:?}"),
            }
        }
    }

    fn request(&mut self, request: &Request) -> Result<String, Box<dyn Error>> {
        let now = Instant::now();
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            [""] => Ok(PAGE.into()),
            ["join"] => self.join(now, &request.body),
            ["restart", peer] => {
                let key = PeerKey(peer.parse()?);
                let credentials = credentials(key)?;
                let peer = self.peers.get_mut(&key).ok_or("no such peer")?;
                Ok(peer.accept_restart(now, &request.body, &credentials)?)
            }
            ["video", peer, mid, track] => {
                let track = track.replace('-', "/");
                self.router.request_video(now, PeerKey(peer.parse()?), Mid::from(mid), Some(&track))?;
                Ok("ok".into())
            }
            _ => Err("no such path".into()),
        }
    }

    /// Body: the offer. Answer: the peer's number, a line feed, and the answer.
    fn join(&mut self, now: Instant, offer: &str) -> Result<String, Box<dyn Error>> {
        self.next += 1;
        let key = PeerKey(self.next);
        let (peer, answer) = Peer::accept(now, offer, credentials(key)?, &self.config)?;
        self.router.subscribe(key, key.0.to_string().into(), peer.lines());
        for (number, line) in peer.lines().iter().filter(|line| line.direction.receives()).enumerate() {
            self.router.publish(now, track(key, number, line))?;
        }
        self.peers.insert(key, peer);
        Ok(format!("{}\n{answer}", key.0))
    }
}

/// `<peer>/mic`, `<peer>/cam`, `<peer>/screen`.
fn track(key: PeerKey, number: usize, line: &Line) -> TrackDescription {
    let (suffix, source) = match (line.kind, number) {
        (MediaKind::Audio, _) => ("mic", Source::Microphone),
        (MediaKind::Video, 1) => ("cam", Source::Camera),
        (MediaKind::Video, _) => ("screen", Source::Screen),
    };
    TrackDescription {
        id: format!("{}/{suffix}", key.0).into(),
        participant: key.0.to_string().into(),
        kind: line.kind,
        source,
        origin: Origin::Peer { peer: key, mid: line.mid },
    }
}

fn credentials(key: PeerKey) -> std::io::Result<IceCredentials> {
    let mut entropy = [0; ENTROPY_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut entropy)?;
    Ok(IceCredentials::new(PeerAddress { shard: 0, peer: key }, entropy))
}

fn serve_http(listener: TcpListener) -> Receiver<Request> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = serve_one(stream, &sender) {
                println!("http: {error}");
            }
        }
    });
    receiver
}

fn serve_one(mut stream: TcpStream, requests: &Sender<Request>) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let (mut received, mut buffer) = (Vec::new(), [0; 8192]);
    let (path, body) = loop {
        let length = stream.read(&mut buffer)?;
        received.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
            let wanted: usize = header.map_or(Ok(0), |value| value.trim().parse())?;
            if body.len() >= wanted {
                let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
                break (path, body.to_owned());
            }
        }
        if length == 0 || received.len() > 1 << 20 {
            return Err("incomplete request".into());
        }
    };
    let (answer, answered) = channel();
    requests.send(Request { path, body, answer })?;
    let text = answered.recv()?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(())
}
