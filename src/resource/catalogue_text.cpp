// The catalogue as the store keeps it: JSON, so that people can read it where they must.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "errors.h"
#include "resource/catalogue.h"

namespace cachify::resource {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::array<const char*, 4> kPhases = {"ready", "creating", "destroying", "broken"};
constexpr std::array<const char*, 3> kHealths = {"unknown", "good", "failed"};

// JSON is UTF-8 and handles are bytes, so each byte stands as the character of its number.
std::string to_utf8(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xc0U | byte >> 6U);
      text += static_cast<char>(0x80U | (byte & 0x3fU));
    }
  }
  return text;
}

std::string from_utf8(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80 || i + 1 == text.size()) {
      bytes += text[i];
    } else {
      const auto next = static_cast<unsigned char>(text[++i]);
      bytes += static_cast<char>((byte & 3U) << 6U | (next & 0x3fU));
    }
  }
  return bytes;
}

template <size_t size>
size_t index_of(const std::array<const char*, size>& names, const std::string& name) {
  for (size_t i = 0; i < size; ++i)
    if (name == names[i]) return i;
  throw std::out_of_range(name);
}

std::string text_at(const Json& object, const char* name) {
  return object.contains(name) ? from_utf8(object[name].get<std::string>()) : std::string();
}

template <class Number>
Number number_at(const Json& object, const char* name) {
  return object.contains(name) ? object[name].get<Number>() : Number{};
}

Json to_json(const Definition& definition) {
  Json object;
  if (definition.fixed()) {
    object["from"] = Json::array();
    for (const std::string& name : definition.names) object["from"].push_back(to_utf8(name));
  } else {
    object["create"] = to_utf8(definition.create);
    object["min"] = definition.min;
    object["max"] = definition.max;
  }
  if (definition.max_life) object["max_life_ns"] = definition.max_life->count();
  if (!definition.check.empty()) object["check"] = to_utf8(definition.check);
  if (!definition.destroy.empty()) object["destroy"] = to_utf8(definition.destroy);
  return object;
}

Definition definition_of(const Json& object) {
  Definition definition;
  if (object.contains("from")) {
    for (const Json& name : object["from"])
      definition.names.push_back(from_utf8(name.get<std::string>()));
  }
  definition.create = text_at(object, "create");
  definition.min = number_at<int64_t>(object, "min");
  definition.max = std::max<int64_t>(number_at<int64_t>(object, "max"), 1);
  if (object.contains("max_life_ns"))
    definition.max_life = util::Duration(object["max_life_ns"].get<int64_t>());
  definition.check = text_at(object, "check");
  definition.destroy = text_at(object, "destroy");
  return definition;
}

// What is as usual is left out.
Json to_json(const Item& item) {
  Json object = {{"number", item.number}};
  if (!item.handle.empty()) object["handle"] = to_utf8(item.handle);
  object["phase"] = kPhases[static_cast<size_t>(item.phase)];
  if (item.health != Health::unknown) object["health"] = kHealths[static_cast<size_t>(item.health)];
  if (item.going) object["going"] = true;
  if (item.overdue) object["overdue"] = true;
  if (!item.holder.empty()) object["holder"] = to_utf8(item.holder);
  if (item.work) {
    object["work"] = {{"place", to_utf8(item.work->place)},
                      {"file", to_utf8(item.work->file)},
                      {"until_us", item.work->until_us}};
  }
  object["made_us"] = item.made_us;
  if (item.checked_us != 0) object["checked_us"] = item.checked_us;
  object["uses"] = item.uses;
  return object;
}

Item item_of(const Json& object) {
  Item item;
  item.number = object.at("number").get<uint64_t>();
  item.handle = text_at(object, "handle");
  item.phase = static_cast<Phase>(index_of(kPhases, object.at("phase").get<std::string>()));
  if (object.contains("health"))
    item.health = static_cast<Health>(index_of(kHealths, object["health"].get<std::string>()));
  item.going = number_at<bool>(object, "going");
  item.overdue = number_at<bool>(object, "overdue");
  item.holder = text_at(object, "holder");
  if (object.contains("work")) {
    const Json& work = object["work"];
    item.work =
        Work{text_at(work, "place"), text_at(work, "file"), number_at<int64_t>(work, "until_us")};
  }
  item.made_us = number_at<int64_t>(object, "made_us");
  item.checked_us = number_at<int64_t>(object, "checked_us");
  item.uses = number_at<int64_t>(object, "uses");
  return item;
}

Catalogue parse(const std::string& text) {
  const Json object = Json::parse(text);
  if (object.at("version").get<int>() != kVersion) throw std::out_of_range("version");
  Catalogue catalogue;
  catalogue.defined = true;
  catalogue.definition = definition_of(object.at("definition"));
  catalogue.stopping = number_at<bool>(object, "stopping");
  catalogue.begun_us = number_at<int64_t>(object, "begun_us");
  catalogue.next_number = object.at("next").get<uint64_t>();
  catalogue.made = number_at<int64_t>(object, "made");
  catalogue.destroyed = number_at<int64_t>(object, "destroyed");
  for (const Json& item : object.at("items")) catalogue.items.push_back(item_of(item));
  return catalogue;
}

}  // namespace

Catalogue Catalogue::from_text(const std::string& text, const std::string& key) {
  if (text.empty()) return {};
  try {
    return parse(text);
  } catch (const std::exception&) {
    // json::exception and what std::array and std::map throw.
    throw StoreError(
        "the list of the resources of " + key +
        " in the store is damaged, or was written by another version of cachify; use that "
        "version, or delete it from the store");
  }
}

std::string Catalogue::to_text() const {
  if (!defined || (stopping && items.empty())) return {};
  Json object = {{"version", kVersion}, {"definition", to_json(definition)}};
  if (stopping) object["stopping"] = true;
  object["begun_us"] = begun_us;
  object["next"] = next_number;
  object["made"] = made;
  object["destroyed"] = destroyed;
  object["items"] = Json::array();
  for (const Item& item : items) object["items"].push_back(to_json(item));
  return object.dump();
}

}  // namespace cachify::resource
