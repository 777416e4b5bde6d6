"""As much of JSON Schema as the recipes' schema uses; any other keyword is an error."""

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}
NOTES = {"$schema", "$defs", "title", "description", "default"}


def has_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def problems(value, schema, root, where="recipe"):
    """What is wrong with a value, in words; [] if nothing is."""
    found = []
    for keyword, wanted in schema.items():
        if keyword in NOTES:
            continue
        if keyword == "$ref":
            found += problems(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, where)
        elif keyword == "type":
            if not has_type(value, wanted):
                return [f"{where} is {value!r}, wanted {wanted}"]
        elif keyword == "anyOf":
            tried = [problems(value, one, root, where) for one in wanted]
            if all(tried):
                found += min(tried, key=len)
        elif keyword == "required":
            found += [f"{where}: {key} is missing" for key in wanted if key not in value]
        elif keyword == "properties":
            for key in value.keys() & wanted.keys():
                found += problems(value[key], wanted[key], root, f"{where}.{key}")
        elif keyword == "additionalProperties":
            assert wanted is False
            found += [f"{where}: unknown key {key}"
                      for key in value.keys() - schema["properties"].keys()]
        elif keyword == "items":
            for i, each in enumerate(value):
                found += problems(each, wanted, root, f"{where}[{i}]")
        elif keyword in ("minItems", "minProperties"):
            if len(value) < wanted:
                found.append(f"{where} has {len(value)} entries, wanted {wanted}")
        elif keyword in ("minimum", "maximum"):
            if (value < wanted) if keyword == "minimum" else (value > wanted):
                found.append(f"{where} is {value}, {keyword} {wanted}")
        else:
            raise AssertionError(f"{where}: the keyword {keyword} is not known here")
    return found
