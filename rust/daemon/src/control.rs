//! Connections of the control plane: one thread accepts, one per connection reads requests.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender};
use std::time::{Duration, Instant};

use dialroom_audio::audio::clip::Clip;
use dialroom_protocol::{
    Answer, Command, FrameReader, FromMedia, PROTOCOL_VERSION, Refusal, RefusalCode, Request, decode_request,
    encode_from_media, request_id,
};
use tracing::{info, warn};

use crate::config::ControlAddress;
use crate::link::{ConnectionId, ToLink};
use crate::secret::{self, Secret};
use crate::stream::Stream;
use crate::syscall::Waker;
use crate::threads::survives;
use crate::worker::{ToWorker, Work};

/// Connections at a time; only one of them speaks for the control plane.
const MAX_CONNECTIONS: usize = 16;
/// A connection that has not said a proper hello by now is closed.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of one frame that are kept of somebody who has not said hello.
const MAX_BEFORE_HELLO: usize = 64 * 1024;

/// Where control connections arrive.
pub enum Listener {
    /// On this machine.
    Unix(UnixListener),
    /// From the network.
    Tcp(TcpListener),
}

impl Listener {
    /// Listens. The error says what to do.
    pub fn bind(address: &ControlAddress) -> Result<Self, String> {
        match address {
            ControlAddress::Unix(path) => bind_unix(path).map(Self::Unix),
            ControlAddress::Tcp(address) => TcpListener::bind(address)
                .map(Self::Tcp)
                .map_err(|error| format!("cannot listen for the control plane at {address}: {error}; choose another")),
        }
    }

    /// The address as it can be connected to.
    pub fn url(&self, address: &ControlAddress) -> String {
        match (self, address) {
            (Self::Tcp(listener), _) => match listener.local_addr() {
                Ok(address) => format!("tcp:{address}"),
                Err(_) => "tcp:".to_owned(),
            },
            (Self::Unix(_), ControlAddress::Unix(path)) => format!("unix:{}", path.display()),
            (Self::Unix(_), ControlAddress::Tcp(_)) => "unix:".to_owned(),
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
        }
    }
}

fn bind_unix(path: &Path) -> Result<UnixListener, String> {
    let shown = path.display();
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(format!("another media process answers at {shown}; stop it or choose another --control"));
        }
        let removed = std::fs::remove_file(path);
        removed.map_err(|error| format!("the old socket {shown} cannot be removed: {error}; remove it"))?;
    }
    let refused = |error| format!("cannot listen for the control plane at {shown}: {error}; check the folder");
    let listener = UnixListener::bind(path).map_err(refused)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(refused)?;
    Ok(listener)
}

/// Where requests and their answers go.
#[derive(Clone)]
pub struct Channels {
    /// To the packet thread.
    pub worker: SyncSender<ToWorker>,
    /// Wakes it.
    pub waker: Arc<Waker>,
    /// To the link thread.
    pub link: Sender<ToLink>,
}

/// Accepts connections.
pub struct Door {
    listener: Listener,
    channels: Channels,
    secret: Option<Secret>,
    hello_within: Duration,
    open: Arc<AtomicUsize>,
    last: ConnectionId,
}

impl Door {
    /// A door that nobody came through yet; with a `secret`, who comes has to know it.
    pub fn new(listener: Listener, channels: Channels, secret: Option<Secret>) -> Self {
        let open = Arc::new(AtomicUsize::new(0));
        Self { listener, channels, secret, hello_within: HELLO_WITHIN, open, last: 0 }
    }

    /// Accepts connections for ever.
    pub fn serve(mut self) {
        loop {
            match self.listener.accept() {
                Ok(stream) => _ = survives(|| self.let_in(stream)),
                Err(error) => {
                    warn!(%error, "a control connection cannot be accepted");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn let_in(&mut self, stream: Stream) {
        if self.open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            return warn!("too many control connections; one is closed");
        }
        if let Err(error) = stream.prepare() {
            return warn!(%error, "a control connection cannot be used");
        }
        self.last += 1;
        let place = Place::take(&self.open);
        let (connection, channels, secret) = (self.last, self.channels.clone(), self.secret.clone());
        let hello_by = Instant::now() + self.hello_within;
        let reader = Reader { connection, stream, channels, secret, hello_by, challenge: None, greeted: false };
        let started = std::thread::Builder::new().name(format!("control {}", self.last)).spawn(move || {
            reader.run();
            drop(place);
        });
        if let Err(error) = started {
            warn!(%error, "no thread for a control connection");
        }
    }
}

/// One of the [`MAX_CONNECTIONS`]; free again when dropped, however that comes about.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Reader {
    connection: ConnectionId,
    stream: Stream,
    channels: Channels,
    secret: Option<Secret>,
    hello_by: Instant,
    challenge: Option<String>,
    greeted: bool,
}

impl Reader {
    /// Reads until the connection ends. A bug ends this connection alone.
    fn run(mut self) {
        info!(connection = self.connection, "control connection opened");
        let mut reason = "a bug in the media process".to_owned();
        survives(|| reason = self.read());
        info!(connection = self.connection, reason, "control connection closed");
        self.stream.close();
        let _ = self.channels.link.send(ToLink::Gone(self.connection));
    }

    /// Why the connection ended.
    fn read(&mut self) -> String {
        let mut frames = FrameReader::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Err(reason) = self.limit_wait() {
                return reason;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return "closed by the control plane".to_owned(),
                Ok(count) => frames.feed(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.to_string(),
            }
            if let Err(reason) = self.take_frames(&mut frames) {
                return reason;
            }
            if !self.greeted && frames.waiting() > MAX_BEFORE_HELLO {
                return "too much before the hello".to_owned();
            }
        }
    }

    /// However often something comes: the time for the hello is not extended by it.
    fn limit_wait(&self) -> Result<(), String> {
        if self.greeted {
            return Ok(());
        }
        match self.hello_by.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err("no hello in time".to_owned()),
            left => self.stream.wait_at_most(Some(left)).map_err(|error| error.to_string()),
        }
    }

    fn take_frames(&mut self, frames: &mut FrameReader) -> Result<(), String> {
        loop {
            let body = match frames.next_body() {
                Ok(Some(body)) => body,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            match decode_request(body) {
                Ok(request) => self.take(request)?,
                Err(error) => {
                    let id = request_id(body).ok_or_else(|| error.to_string())?;
                    self.refuse(id, Refusal::new(RefusalCode::BadValue, error.to_string()))?;
                }
            }
        }
    }

    fn take(&mut self, Request { id, command }: Request) -> Result<(), String> {
        #[cfg(test)]
        assert!(!matches!(&command, Command::OpenBridge { bridge, .. } if bridge == tests::BUG), "a bug");
        match command {
            Command::Hello { protocol, .. } if protocol != PROTOCOL_VERSION => {
                let message =
                    format!("This media process speaks protocol {PROTOCOL_VERSION}, not {protocol}; restart it");
                self.refuse(id, Refusal::new(RefusalCode::ProtocolMismatch, message))
            }
            Command::Hello { proof, .. } if !self.greeted && !self.is_proved(proof.as_deref()) => {
                let message = "This media process lets in only who knows its secret; set `media_secret` \
                               (DIALROOM_MEDIA_SECRET) to the same value here and there";
                self.refuse(id, Refusal::new(RefusalCode::Unauthorized, message))?;
                Err("it does not know the secret".to_owned())
            }
            Command::Hello { protocol, after_event, instance, .. } => {
                if !self.greeted {
                    self.stream.wait_at_most(None).map_err(|error| error.to_string())?;
                    let stream = self.stream.try_clone().map_err(|error| error.to_string())?;
                    let (connection, told) = (self.connection, instance.clone());
                    self.tell(ToLink::Greeted { connection, stream, after_event, instance: told })?;
                    self.greeted = true;
                }
                self.hand_on(id, Work::Command(Command::Hello { protocol, after_event, instance, proof: None }))
            }
            Command::GetChallenge {} if !self.greeted => {
                if self.challenge.is_none() {
                    self.challenge = secret::challenge();
                }
                let challenge = self.challenge.clone().ok_or("the system has no randomness")?;
                self.reply(id, Answer::Challenge { challenge })
            }
            _ if !self.greeted => {
                self.refuse(id, Refusal::new(RefusalCode::BadValue, "The first command on a link is hello"))
            }
            // Decoded here, so that the packet thread goes on.
            Command::PutClip { clip, audio } => match Clip::from_wav(&audio) {
                Ok(read) => self.hand_on(id, Work::Clip(clip, Arc::new(read))),
                Err(error) => self.refuse(id, Refusal::new(RefusalCode::BadAudio, error.to_string())),
            },
            command => self.hand_on(id, Work::Command(command)),
        }
    }

    fn hand_on(&self, request: u64, work: Work) -> Result<(), String> {
        let message = ToWorker { connection: self.connection, request, work };
        // A full queue makes the control plane wait: its own socket fills up.
        self.channels.worker.send(message).map_err(|_| "the media process stops".to_owned())?;
        self.channels.waker.wake();
        Ok(())
    }

    fn is_proved(&self, proof: Option<&str>) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let pair = self.challenge.as_deref().zip(proof);
        pair.is_some_and(|(challenge, proof)| secret.is_known_by(challenge, proof))
    }

    fn refuse(&mut self, id: u64, refusal: Refusal) -> Result<(), String> {
        self.reply(id, Answer::Refused(refusal))
    }

    fn reply(&mut self, id: u64, answer: Answer) -> Result<(), String> {
        if self.greeted {
            return self.tell(ToLink::Reply { connection: self.connection, id, answer });
        }
        // Before the hello, this thread is the only one that writes to the connection.
        let frame = encode_from_media(&FromMedia::Reply { id, answer }).map_err(|error| error.to_string())?;
        self.stream.write_all(&frame).map_err(|error| error.to_string())
    }

    fn tell(&self, message: ToLink) -> Result<(), String> {
        self.channels.link.send(message).map_err(|_| "the media process stops".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel, sync_channel};

    use dialroom_protocol::{decode_from_media, encode_request};

    /// A bridge whose opening comes up as a bug.
    pub const BUG: &str = "bug";

    struct Process {
        door: Door,
        commands: Receiver<ToWorker>,
        link: Receiver<ToLink>,
    }

    impl Process {
        fn new() -> Self {
            let listener = Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
            let ((worker, commands), (to_link, link)) = (sync_channel(8), channel());
            let channels = Channels { worker, waker: Arc::new(Waker::new().unwrap()), link: to_link };
            Self { door: Door::new(listener, channels, None), commands, link }
        }

        fn with_secret(text: &str) -> Self {
            let mut process = Self::new();
            process.door.secret = Secret::new(text);
            process
        }

        fn connect(&mut self) -> UnixStream {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            self.door.let_in(Stream::Unix(ours));
            theirs
        }
    }

    fn ask(stream: &mut UnixStream, command: Command) {
        stream.write_all(&encode_request(&Request { id: 7, command }).unwrap()).unwrap();
    }

    fn hello() -> Command {
        proving(None)
    }

    fn proving(proof: Option<String>) -> Command {
        Command::Hello { protocol: PROTOCOL_VERSION, after_event: None, instance: None, proof }
    }

    fn refusal(stream: &mut UnixStream) -> RefusalCode {
        match answer(stream) {
            FromMedia::Reply { id: 7, answer: Answer::Refused(refusal) } => refusal.code,
            other => panic!("it is not refused: {other:?}"),
        }
    }

    fn open(bridge: &str) -> Command {
        Command::OpenBridge { bridge: bridge.into(), tag: String::new() }
    }

    fn answer(stream: &mut UnixStream) -> FromMedia {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body).unwrap();
        decode_from_media(&body).unwrap()
    }

    #[test]
    fn a_bug_ends_one_connection_wholly_and_no_other() {
        let mut process = Process::new();
        let (mut bad, mut good) = (process.connect(), process.connect());
        for stream in [&mut bad, &mut good] {
            ask(stream, hello());
            assert!(matches!(process.link.recv().unwrap(), ToLink::Greeted { .. }));
            assert!(matches!(process.commands.recv().unwrap().work, Work::Command(Command::Hello { .. })));
        }
        ask(&mut bad, open(BUG));
        assert_eq!(bad.read(&mut [0]).unwrap(), 0, "it is closed");
        assert!(matches!(process.link.recv().unwrap(), ToLink::Gone(1)), "and known to be");
        ask(&mut good, open("room"));
        assert_eq!(process.commands.recv().unwrap().connection, 2);
    }

    #[test]
    fn a_connection_that_ended_leaves_its_place_to_another() {
        let mut process = Process::new();
        for round in 1..=2 * MAX_CONNECTIONS as ConnectionId {
            let mut stream = process.connect();
            ask(&mut stream, hello());
            ask(&mut stream, open(BUG));
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            assert!(matches!(process.link.recv().unwrap(), ToLink::Greeted { connection, .. } if connection == round));
            assert!(matches!(process.link.recv().unwrap(), ToLink::Gone(connection) if connection == round));
            process.commands.recv().unwrap();
            while process.door.open.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_command_before_the_hello_is_refused() {
        let mut process = Process::new();
        let mut stream = process.connect();
        ask(&mut stream, open("room"));
        assert_eq!(refusal(&mut stream), RefusalCode::BadValue);
    }

    #[test]
    fn who_knows_the_secret_is_let_in() {
        let mut process = Process::with_secret("a secret of ours");
        let mut stream = process.connect();
        ask(&mut stream, Command::GetChallenge {});
        let FromMedia::Reply { answer: Answer::Challenge { challenge }, .. } = answer(&mut stream) else {
            panic!("no challenge");
        };
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a secret of ours");
        let tag = aws_lc_rs::hmac::sign(&key, format!("dialroom control link{challenge}").as_bytes());
        ask(&mut stream, proving(Some(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())));
        assert!(matches!(process.link.recv().unwrap(), ToLink::Greeted { .. }));
        let work = process.commands.recv().unwrap().work;
        assert!(matches!(work, Work::Command(Command::Hello { proof: None, .. })), "the proof goes no further");
    }

    #[test]
    fn who_does_not_know_the_secret_is_refused_and_closed() {
        let wrong =
            [(true, None), (true, Some("0".repeat(64))), (false, Some("0".repeat(64))), (true, Some("x".into()))];
        for (asks, proof) in wrong {
            let mut process = Process::with_secret("a secret of ours");
            let mut stream = process.connect();
            if asks {
                ask(&mut stream, Command::GetChallenge {});
                answer(&mut stream);
            }
            ask(&mut stream, proving(proof));
            assert_eq!(refusal(&mut stream), RefusalCode::Unauthorized);
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            assert!(matches!(process.link.recv().unwrap(), ToLink::Gone(1)), "nothing came before");
            assert!(process.commands.try_recv().is_err());
        }
    }

    #[test]
    fn who_goes_on_saying_anything_but_hello_does_not_keep_its_place() {
        let mut process = Process::new();
        process.door.hello_within = Duration::from_millis(100);
        let mut stream = process.connect();
        let request = encode_request(&Request { id: 7, command: Command::GetChallenge {} }).unwrap();
        let mut is_answered =
            || stream.write_all(&request).is_ok() && stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0);
        assert!((0..1_000_000).any(|_| !is_answered()), "it is still open");
        assert!(matches!(process.link.recv().unwrap(), ToLink::Gone(1)));
    }

    #[test]
    fn who_has_not_said_hello_cannot_make_us_keep_much() {
        let mut process = Process::new();
        let mut stream = process.connect();
        let announced = (2 * MAX_BEFORE_HELLO as u32).to_be_bytes();
        stream.write_all(&announced).unwrap();
        stream.write_all(&vec![0; MAX_BEFORE_HELLO + 1]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}
