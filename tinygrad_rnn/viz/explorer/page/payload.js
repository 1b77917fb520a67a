// What Python put into the page: JSON, compressed where it is large.
const Payload = (() => {
  // The text behind base64 of gzip.
  function unpack(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  async function read() {
    const { type, textContent } = Dom.byId("payload");
    return JSON.parse(type === "application/gzip" ? await unpack(textContent) : textContent);
  }

  return { unpack, read };
})();
