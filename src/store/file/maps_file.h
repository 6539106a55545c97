#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/file/directory.h"
#include "store/store.h"

// The maps of a pool that are under way, in a file beside its state file, NAME~m (PROTOCOL.md,
// "Maps"). Nothing depends on it.
namespace cachify::store::file {

// Store::show_map(). `directory` must outlive the result.
std::unique_ptr<MapRecord> show_map(const Directory& directory, const std::string& prefixed_key,
                                    const Who& who);

// Those whose process lives. What cannot be read is nothing to show. Makes and changes no file.
std::vector<MapInfo> maps_of(const Directory& directory, const std::string& prefixed_key);

// Pokes those maps, so that they look: to be called when what they are to see was written.
void poke_maps(const Directory& directory, const std::string& prefixed_key) noexcept;

// Whether a file of this name would be one with maps.
bool is_maps_file(std::string_view name);

// Deletes it when no map in it lives. Blocks on nothing; what cannot be deleted stays.
bool delete_dead_maps(const Directory& directory, const std::string& name);

}  // namespace cachify::store::file
