"""Derives schema.json from the released OCSF schema; see SOURCES.md.

    pip install ocsf-json-schema==1.2.0 && python3 derive.py > schema.json
"""

import json

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"
CLASSES = ["api_activity", "application_lifecycle"]
PROFILES = ["security_control", "trace"]


def bare(node):
    """Without what only people read."""
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    is_node = "type" in node or "$ref" in node
    kept = {k: v for k, v in node.items() if not (is_node and k == "title" and isinstance(v, str))}
    return {k: bare(v) for k, v in sorted(kept.items())}


released = get_ocsf_schema(version=VERSION)
defs, owners = {}, {}
for name in CLASSES:
    whole = OcsfJsonSchemaEmbedded(released).get_class_schema(name, profiles=PROFILES)
    defs |= whole.pop("$defs")
    defs[name] = {k: v for k, v in whole.items() if not k.startswith("$")}
    for attribute, said in released["classes"][name]["attributes"].items():
        for profile in said.get("profiles") or []:
            if profile in PROFILES:
                owners[attribute] = profile

lines = [f"{json.dumps(name)}: {json.dumps(bare(defs[name]), sort_keys=True)}" for name in sorted(defs)]
print('{"version": "%s",\n"profile_of": %s,\n"$defs": {' % (VERSION, json.dumps(owners, sort_keys=True)))
print(",\n".join(lines))
print("}}")
