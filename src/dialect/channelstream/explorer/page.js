// Shows the description of the interface, and signs what is tried out.

"use strict";

/** A signature is good for a minute; one that is asked for anew each time cannot be too old. */
async function signature() {
  const answer = await fetch("api-explorer/signature", {
    method: "POST",
    headers: { "X-Requested-With": "api-explorer" },
  });
  if (!answer.ok) throw new Error(`no signature: ${answer.status}; sign in again`);
  return (await answer.json()).signature;
}

function isOurs(url) {
  return new URL(url, location.href).origin === location.origin;
}

window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#explorer",
  // Nothing is asked of anybody else.
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  supportedSubmitMethods: ["get", "post", "patch", "delete", "put", "head"],
  presets: [SwaggerUIBundle.presets.apis],
  requestInterceptor: async (request) => {
    const headers = Object.keys(request.headers ?? {}).map((name) => name.toLowerCase());
    const isSigned = headers.includes("x-channelstream-secret");
    if (!request.loadSpec && !isSigned && isOurs(request.url)) {
      request.headers = { ...request.headers, "X-Channelstream-Secret": await signature() };
    }
    return request;
  },
});
