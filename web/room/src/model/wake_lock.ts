/** Keeps a phone's screen on until the returned function is called, where the browser can and battery allows. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  let over = false;
  const acquire = async (): Promise<void> => {
    if (over || document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
    lock = await navigator.wakeLock.request("screen").catch(() => null);
    if (over) void lock?.release();
  };
  // The lock is lost whenever the page is hidden.
  const reacquire = (): void => void acquire();
  document.addEventListener("visibilitychange", reacquire);
  void acquire();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", reacquire);
    void lock?.release();
  };
}
