//! Connections of the control plane: one thread accepts, one per connection reads requests.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender};

use dialroom_audio::audio::clip::Clip;
use dialroom_protocol::{
    Answer, Command, FrameReader, FromMedia, PROTOCOL_VERSION, Refusal, RefusalCode, Request, decode_request,
    encode_from_media, request_id,
};
use tracing::{info, warn};

use crate::config::ControlAddress;
use crate::link::{ConnectionId, ToLink};
use crate::stream::Stream;
use crate::syscall::Waker;
use crate::worker::{ToWorker, Work};

/// Connections at a time; only one of them speaks for the control plane.
const MAX_CONNECTIONS: usize = 16;

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

/// Accepts connections for ever.
pub fn serve(listener: &Listener, channels: &Channels) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut last: ConnectionId = 0;
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "a control connection cannot be accepted");
                std::thread::sleep(std::time::Duration::from_millis(100));
                continue;
            }
        };
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS || stream.prepare().is_err() {
            warn!("too many control connections; one is closed");
            continue;
        }
        last += 1;
        let reader = Reader { connection: last, stream, channels: channels.clone(), greeted: false };
        let counter = open.clone();
        counter.fetch_add(1, Ordering::Relaxed);
        let started = std::thread::Builder::new().name(format!("control {last}")).spawn(move || {
            reader.run();
            counter.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = started {
            open.fetch_sub(1, Ordering::Relaxed);
            warn!(%error, "no thread for a control connection");
        }
    }
}

struct Reader {
    connection: ConnectionId,
    stream: Stream,
    channels: Channels,
    greeted: bool,
}

impl Reader {
    fn run(mut self) {
        info!(connection = self.connection, "control connection opened");
        let mut frames = FrameReader::default();
        let mut buffer = vec![0; 64 * 1024];
        let reason = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break "closed by the control plane".to_owned(),
                Ok(count) => frames.feed(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break error.to_string(),
            }
            if let Err(reason) = self.take_frames(&mut frames) {
                break reason;
            }
        };
        info!(connection = self.connection, reason, "control connection closed");
        self.stream.close();
        let _ = self.channels.link.send(ToLink::Gone(self.connection));
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
        match command {
            Command::Hello { protocol, .. } if protocol != PROTOCOL_VERSION => {
                let message =
                    format!("This media process speaks protocol {PROTOCOL_VERSION}, not {protocol}; restart it");
                self.refuse(id, Refusal::new(RefusalCode::ProtocolMismatch, message))
            }
            Command::Hello { protocol, after_event, instance } => {
                if !self.greeted {
                    let stream = self.stream.try_clone().map_err(|error| error.to_string())?;
                    let (connection, told) = (self.connection, instance.clone());
                    self.tell(ToLink::Greeted { connection, stream, after_event, instance: told })?;
                    self.greeted = true;
                }
                self.hand_on(id, Work::Command(Command::Hello { protocol, after_event, instance }))
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

    fn refuse(&mut self, id: u64, refusal: Refusal) -> Result<(), String> {
        let answer = Answer::Refused(refusal);
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
