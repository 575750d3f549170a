import { beforeEach, describe, expect, it } from "vitest";
import { keepHostKey, parseAddress, slugFrom, visitorOf } from "../src/model/address.js";

describe("parseAddress", () => {
  it.each([
    ["/r/standup", "", { slug: "standup", hostKey: "" }],
    ["/r/standup/", "#host=k%2B1", { slug: "standup", hostKey: "k+1" }],
    ["/r/caf%C3%A9", "", { slug: "café", hostKey: "" }],
    ["/r/50%", "", { slug: "50%", hostKey: "" }],
    ["/", "", null],
    ["/r/", "", null],
    ["/r/a/b", "", null],
  ])("reads %s%s", (pathname, hash, address) => {
    expect(parseAddress({ pathname, hash })).toEqual(address);
  });
});

describe("slugFrom", () => {
  it.each([
    ["standup", "standup"],
    [" https://example.com/r/standup?x=1#host=y ", "standup"],
    ["/r/standup", "standup"],
  ])("takes the room from %s", (typed, slug) => {
    expect(slugFrom(typed)).toBe(slug);
  });
});

describe("keepHostKey", () => {
  beforeEach(() => sessionStorage.clear());

  it("takes the key out of the address and still has it after a reload", () => {
    history.replaceState(null, "", "/r/standup#host=secret");
    expect(keepHostKey({ slug: "standup", hostKey: "secret" }).hostKey).toBe("secret");
    expect(location.href).not.toContain("secret");
    expect(keepHostKey({ slug: "standup", hostKey: "" }).hostKey).toBe("secret");
    expect(keepHostKey({ slug: "other", hostKey: "" }).hostKey).toBe("");
  });
});

describe("visitorOf", () => {
  beforeEach(() => sessionStorage.clear());

  it("is the same after a reload, and another one in another room", () => {
    const identity = visitorOf("standup");
    expect(identity).toMatch(/^[0-9a-f]{24}$/);
    expect(visitorOf("standup")).toBe(identity);
    expect(visitorOf("other")).not.toBe(identity);
  });
});
