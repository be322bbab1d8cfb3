// Validates the manifests in config/kubernetes by the schemas of the Kubernetes API and of
// cert-manager, as the npm packages kubernetes-models and @kubernetes-models/cert-manager have them.
//
//   npm install --prefix FOLDER kubernetes-models @kubernetes-models/cert-manager js-yaml
//   node scripts/kubernetes.mjs FOLDER [FILE...]
//
// A field that the schema does not know is an error as well. One line for each object; exit 1 if one
// is wrong.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [folder, ...named] = process.argv.slice(2);
const require = createRequire(resolve(folder, "x.js"));
const yaml = require("js-yaml");
const manifests = new URL("../config/kubernetes/", import.meta.url).pathname;
const files = named.length ? named : readdirSync(manifests).filter((f) => f.endsWith(".yaml"))
  .map((f) => join(manifests, f));

// The model of an object's kind; undefined if no schema is known.
function modelOf({ apiVersion, kind }) {
  for (const place of ["kubernetes-models/", "@kubernetes-models/cert-manager/"]) {
    try {
      return require(`${place}${apiVersion}/${kind}`)[kind];
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND" && error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") {
        throw error;
      }
    }
  }
  return undefined;
}

// The schemas let unknown fields pass, and the API server would drop them. So each object notes which
// of its fields the validation has looked at: one that it has not looked at is none of the schema's.
const looked = new Map();
function watched(value) {
  if (typeof value !== "object" || value === null) return value;
  const seen = new Set();
  const children = Object.fromEntries(Object.entries(value).map(([k, v]) => [k, watched(v)]));
  const target = Array.isArray(value) ? Object.values(children) : children;
  const proxy = new Proxy(target, {
    get(object, key) {
      seen.add(key);
      return object[key];
    },
  });
  looked.set(proxy, { seen, children });
  return proxy;
}

function unknownFields(proxy, path) {
  const { seen, children } = looked.get(proxy);
  return Object.entries(children).flatMap(([key, child]) =>
    !seen.has(key) ? [`${path}/${key}`]
      : looked.has(child) ? unknownFields(child, `${path}/${key}`) : []);
}

function check(object) {
  const Model = modelOf(object);
  if (!Model) throw new Error("no schema");
  const proxy = watched(object);
  Model.prototype.validate.call(proxy); // its constructor would copy, and so look at everything
  const unknown = unknownFields(proxy, "");
  if (unknown.length) throw new Error(`unknown: ${unknown.join(", ")}`);
}

let wrong = 0;
for (const file of files) {
  for (const object of yaml.loadAll(readFileSync(file, "utf8"))) {
    const what = `${file}: ${object.apiVersion} ${object.kind} ${object.metadata.name}`;
    try {
      check(object);
      console.log(`${what}: valid`);
    } catch (error) {
      wrong++;
      console.log(`${what}: ${error.message}`);
    }
  }
}
process.exit(wrong ? 1 : 0);
