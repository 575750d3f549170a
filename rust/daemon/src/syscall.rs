//! The system calls that the standard library does not wrap: batched datagrams, epoll, eventfd, signals, thread times.
//!
//! The only file of this crate with `unsafe`. Buffers handed to the kernel are owned by the same value as the headers
//! that point at them, are boxed (so they do not move), and outlive the call.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::{Duration, Instant, SystemTime};

/// Datagrams per `recvmmsg` or `sendmmsg`.
pub const BATCH: usize = 64;
/// Bytes kept of a received datagram; longer ones are dropped.
pub const DATAGRAM_BYTES: usize = 2048;
/// Nothing waits longer for a thread that works every 20 ms: an older time of arrival says that a clock was set.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Room for the one control message that is asked for, aligned for its header.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Receives up to [`BATCH`] datagrams at once.
pub struct ReceiveBatch {
    buffers: Box<[[u8; DATAGRAM_BYTES]]>,
    names: Box<[libc::sockaddr_storage]>,
    _vectors: Box<[libc::iovec]>,
    _controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
    /// Headers that the kernel wrote lengths of names and control messages into.
    used: usize,
    /// When the batch was received, by the clock of this process and by that of the kernel's stamps.
    received: (Instant, SystemTime),
}

impl ReceiveBatch {
    /// Buffers for one batch.
    pub fn new() -> Self {
        let mut buffers = vec![[0u8; DATAGRAM_BYTES]; BATCH].into_boxed_slice();
        // SAFETY: `sockaddr_storage` and `mmsghdr` are plain C structures for which all zeroes is a valid value.
        let (storage, header) = unsafe { (mem::zeroed::<libc::sockaddr_storage>(), mem::zeroed::<libc::mmsghdr>()) };
        let mut names = vec![storage; BATCH].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM_BYTES })
            .collect();
        let mut controls = vec![Control([0; 64]); BATCH].into_boxed_slice();
        let mut headers = vec![header; BATCH].into_boxed_slice();
        for (index, header) in headers.iter_mut().enumerate() {
            header.msg_hdr.msg_iov = &mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(&mut names[index]).cast();
            header.msg_hdr.msg_control = ptr::from_mut(&mut controls[index]).cast();
        }
        let received = (Instant::now(), SystemTime::now());
        Self { buffers, names, _vectors: vectors, _controls: controls, headers, used: BATCH, received }
    }

    /// Fills the batch with what waits on a non-blocking socket; how many came, 0 when none waits.
    pub fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        for header in &mut self.headers[..mem::take(&mut self.used)] {
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = mem::size_of::<Control>() as _;
        }
        // SAFETY: every header points at a name, a control buffer and a vector, and each vector at a buffer, that live
        // in boxes owned by `self` and have the lengths given; the kernel writes at most BATCH headers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.used = count;
                self.received = (Instant::now(), SystemTime::now());
                Ok(count)
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
        }
    }

    /// The datagram at `index` of the last batch and its source; `None` if it was cut off or has no IP source.
    pub fn datagram(&self, index: usize) -> Option<(SocketAddr, &[u8])> {
        let header = &self.headers[index];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let length = (header.msg_len as usize).min(DATAGRAM_BYTES);
        Some((read_address(&self.names[index])?, &self.buffers[index][..length]))
    }

    /// When the datagram at `index` of the last batch arrived, if its socket [tells](stamp_arrivals); otherwise when
    /// the batch was received.
    pub fn arrived(&self, index: usize) -> Instant {
        let (now, wall) = self.received;
        let waited = read_stamp(&self.headers[index].msg_hdr)
            .and_then(|stamp| wall.duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(stamp));
        waited.filter(|waited| *waited < LONGEST_WAIT).and_then(|waited| now.checked_sub(waited)).unwrap_or(now)
    }
}

/// Has the kernel note when each datagram arrives at a socket.
pub fn stamp_arrivals(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: four bytes are read from `on`, which lives through the call.
    let result = unsafe {
        let length = mem::size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, ptr::from_ref(&on).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The kernel's time of arrival since the Unix epoch.
fn read_stamp(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: control buffer and length are those of a batch, the length as the kernel left it; the macros stay inside.
    // The type says that a `timespec` follows, for whose alignment nobody vouches.
    let stamp = unsafe {
        let message = libc::CMSG_FIRSTHDR(header).as_ref()?;
        if (message.cmsg_level, message.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned()
    };
    Some(Duration::new(u64::try_from(stamp.tv_sec).ok()?, u32::try_from(stamp.tv_nsec).ok()?))
}

/// Sends up to [`BATCH`] datagrams at once.
pub struct SendBatch {
    names: Box<[libc::sockaddr_storage]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl SendBatch {
    /// Headers for one batch.
    pub fn new() -> Self {
        // SAFETY: these are plain C structures for which all zeroes is a valid value.
        let (storage, vector, header) = unsafe {
            (mem::zeroed::<libc::sockaddr_storage>(), mem::zeroed::<libc::iovec>(), mem::zeroed::<libc::mmsghdr>())
        };
        Self {
            names: vec![storage; BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// Sends datagrams from one socket; how many the kernel took. What does not fit its buffer is dropped: late media
    /// is worth nothing.
    pub fn send<'a>(
        &mut self,
        socket: &impl AsRawFd,
        datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
    ) -> usize {
        let mut sent = 0;
        let mut datagrams = datagrams.peekable();
        while datagrams.peek().is_some() {
            let mut count = 0;
            for (destination, data) in datagrams.by_ref().take(BATCH) {
                self.put(count, destination, data);
                count += 1;
            }
            sent += self.flush(socket.as_raw_fd(), count);
        }
        sent
    }

    fn put(&mut self, index: usize, destination: SocketAddr, data: &[u8]) {
        let length = write_address(destination, &mut self.names[index]);
        // The kernel only reads from the buffer of a message to be sent.
        self.vectors[index] = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_name = ptr::from_mut(&mut self.names[index]).cast();
        header.msg_namelen = length;
        header.msg_iov = &mut self.vectors[index];
        header.msg_iovlen = 1;
    }

    fn flush(&mut self, socket: RawFd, count: usize) -> usize {
        let (mut from, mut sent) = (0, 0);
        while from < count {
            // SAFETY: the headers from..count were filled by `put` from slices that `send` borrows until after this
            // call; names and vectors are boxes owned by `self`.
            let taken = unsafe {
                libc::sendmmsg(
                    socket,
                    self.headers.as_mut_ptr().add(from),
                    (count - from) as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            match usize::try_from(taken) {
                Ok(taken) if taken > 0 => {
                    from += taken;
                    sent += taken;
                }
                _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => return sent,
                // An error belongs to the first message: an unreachable destination must not hold up the others.
                _ => from += 1,
            }
        }
        sent
    }
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a `sockaddr_in`, which is smaller than the storage.
            let address = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(address.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the kernel wrote a `sockaddr_in6`, which is smaller than the storage.
            let address = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            let port = u16::from_be(address.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, address.sin6_scope_id)))
        }
        _ => None,
    }
}

fn write_address(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: `sockaddr_storage` is large enough for a `sockaddr_in` and aligned for it.
            let target = unsafe { &mut *ptr::from_mut(storage).cast::<libc::sockaddr_in>() };
            target.sin_family = libc::AF_INET as libc::sa_family_t;
            target.sin_port = v4.port().to_be();
            target.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            // SAFETY: `sockaddr_storage` is large enough for a `sockaddr_in6` and aligned for it.
            let target = unsafe { &mut *ptr::from_mut(storage).cast::<libc::sockaddr_in6>() };
            target.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            target.sin6_port = v6.port().to_be();
            target.sin6_flowinfo = 0;
            target.sin6_addr.s6_addr = v6.ip().octets();
            target.sin6_scope_id = v6.scope_id();
            mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// An epoll instance; each file descriptor is known by a number of the caller's.
pub struct Epoll {
    fd: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty instance that tells up to 256 ready descriptors at once.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; a non-negative result is a new descriptor that nobody else owns.
        let fd = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, ready: Vec::with_capacity(256) })
    }

    /// Watches a descriptor for input (level-triggered) until it is closed.
    pub fn watch(&self, fd: &impl AsRawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: `event` lives through the call, which only reads it.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for input, for ever without `timeout_ms`, and calls `each` with the numbers of what is ready.
    pub fn wait(&mut self, timeout_ms: Option<i32>, mut each: impl FnMut(u64)) -> io::Result<()> {
        // SAFETY: `ready` has room for its capacity of events, of which the kernel writes at most that many.
        let count = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.ready.as_mut_ptr(),
                self.ready.capacity() as i32,
                timeout_ms.unwrap_or(-1),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        // SAFETY: the kernel wrote `count` events.
        unsafe { self.ready.set_len(count as usize) };
        for event in &self.ready {
            each(event.u64);
        }
        Ok(())
    }
}

/// Wakes the packet thread from another thread.
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker that has not been used.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; a non-negative result is a new descriptor that nobody else owns.
        unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// Makes the next or current wait return.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are read from `one`. A full counter (EAGAIN) wakes as well, so the result says nothing.
        unsafe { libc::write(self.0.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
    }

    /// Forgets wakes so far.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes are written to `count`. Without a wake the read fails, which changes nothing.
        unsafe { libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut count).cast(), 8) };
    }

    /// Sleeps until woken, at most for `timeout`.
    pub fn sleep(&self, timeout: Duration) {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        // SAFETY: one pollfd and one timespec live through the call. An interrupted sleep is merely shorter.
        unsafe { libc::ppoll(&mut poll, 1, &timeout, ptr::null()) };
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// SIGTERM and SIGINT, taken away from all threads started afterwards.
pub struct StopSignals(libc::sigset_t);

impl StopSignals {
    /// Blocks the signals in this thread and those it starts.
    pub fn block() -> Self {
        // SAFETY: the set is initialised by `sigemptyset` before use; the calls only touch it.
        unsafe {
            let mut set = mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
            Self(set)
        }
    }

    /// Waits for one of them.
    pub fn wait(&self) {
        let mut signal = 0;
        // SAFETY: the set is initialised and `signal` lives through the call.
        while unsafe { libc::sigwait(&self.0, &mut signal) } != 0 {}
    }
}

/// Raises the limit of open files to what the system allows, for a socket pair per leg that never speaks; the limit.
pub fn raise_open_files() -> u64 {
    // SAFETY: the structure is plain, filled by the first call and only read by the second.
    unsafe {
        let mut limit = mem::zeroed::<libc::rlimit>();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 0;
        }
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) == 0 { wanted.rlim_cur } else { limit.rlim_cur }
    }
}

/// Lets the calling thread run before others, if the system permits that; whether it did.
pub fn raise_priority() -> bool {
    // SAFETY: no pointers are passed. On Linux the value belongs to the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -11) == 0 }
}

/// User and system time of the calling thread, in seconds.
pub fn thread_times() -> (f64, f64) {
    // SAFETY: `usage` is a plain C structure that the call fills.
    let usage = unsafe {
        let mut usage = mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn socket(address: &str) -> UdpSocket {
        UdpSocket::bind(address).expect("a free port on loopback")
    }

    #[test]
    fn batches_arrive_with_their_bytes_and_source() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (here, there) = (socket(address), socket(address));
            let to = there.local_addr().unwrap();
            let data: Vec<[u8; 3]> = (0..100u8).map(|i| [i, i, i]).collect();
            let sent = SendBatch::new().send(&here, data.iter().map(|d| (to, &d[..])));
            assert_eq!(sent, 100);
            let mut batch = ReceiveBatch::new();
            let mut seen = 0u8;
            while seen < 100 {
                let count = batch.receive(&there).unwrap();
                assert!(count > 0, "loopback delivers at once");
                for index in 0..count {
                    let expected = [seen; 3];
                    assert_eq!(batch.datagram(index), Some((here.local_addr().unwrap(), &expected[..])));
                    seen += 1;
                }
            }
            assert_eq!(batch.receive(&there).unwrap(), 0);
        }
    }

    #[test]
    fn a_datagram_has_arrived_when_it_came_where_the_socket_tells_and_else_when_it_was_read() {
        let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let mut batch = ReceiveBatch::new();
        let mut arrives_before_it_is_read = || {
            here.send_to(b"x", there.local_addr().unwrap()).unwrap();
            let asked = Instant::now();
            assert_eq!(batch.receive(&there).unwrap(), 1);
            batch.arrived(0) < asked
        };
        assert!(!arrives_before_it_is_read());
        stamp_arrivals(&there).unwrap();
        // The system begins to stamp some time after the first socket asks for it; until then it tells when it was read.
        let patience = Instant::now() + Duration::from_secs(10);
        while !arrives_before_it_is_read() {
            assert!(Instant::now() < patience, "nothing is stamped");
        }
    }

    #[test]
    fn one_unreachable_destination_does_not_hold_up_the_others() {
        let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let wrong: SocketAddr = "[::1]:9".parse().unwrap();
        let to = there.local_addr().unwrap();
        let sent = SendBatch::new().send(&here, [(wrong, &b"x"[..]), (to, b"y")].into_iter());
        assert_eq!(sent, 1);
        let mut batch = ReceiveBatch::new();
        assert_eq!(batch.receive(&there).unwrap(), 1);
        assert_eq!(batch.datagram(0).unwrap().1, b"y");
    }

    #[test]
    fn a_datagram_longer_than_the_buffer_is_dropped() {
        let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        here.send_to(&[1; DATAGRAM_BYTES + 1], there.local_addr().unwrap()).unwrap();
        let mut batch = ReceiveBatch::new();
        assert_eq!(batch.receive(&there).unwrap(), 1);
        assert_eq!(batch.datagram(0), None);
    }

    #[test]
    fn a_wake_ends_a_sleep_and_is_forgotten_when_cleared() {
        let waker = Waker::new().unwrap();
        waker.wake();
        waker.sleep(Duration::from_secs(60));
        waker.clear();
        let mut epoll = Epoll::new().unwrap();
        epoll.watch(&waker, 7).unwrap();
        let mut ready = Vec::new();
        epoll.wait(Some(0), |n| ready.push(n)).unwrap();
        assert!(ready.is_empty());
        waker.wake();
        epoll.wait(None, |n| ready.push(n)).unwrap();
        assert_eq!(ready, [7]);
    }
}
