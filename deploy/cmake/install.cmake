# cmake --install, and a Debian package by `cpack -G DEB`: the five programs, the shipped models, the
# API's .proto files, completions for shells, a unit for systemd, the documents' front page.
include(GNUInstallDirs)

install(TARGETS diffusiond diffusionctl diffusion-train diffusion-eval diffusion-publish
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY model/checkpoints/ DESTINATION ${CMAKE_INSTALL_DATADIR}/diffusiond/models)
install(DIRECTORY proto/diffusiond DESTINATION ${CMAKE_INSTALL_DATADIR}/diffusiond/proto
        FILES_MATCHING PATTERN "*.proto")
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# It names where the rest lies, which is known when that is installed.
install(CODE "
  set(BINDIR \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR})
  set(DATADIR \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR})
  configure_file(\"${PROJECT_SOURCE_DIR}/deploy/systemd/diffusiond.service.in\"
                 \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/diffusiond.service\" @ONLY)")

# Made from the flags by the program itself.
foreach(entry "bash:bash-completion/completions/diffusionctl"
              "zsh:zsh/site-functions/_diffusionctl"
              "fish:fish/vendor_completions.d/diffusionctl.fish")
  string(REPLACE ":" ";" entry ${entry})
  list(GET entry 0 shell)
  list(GET entry 1 place)
  install(CODE "
    execute_process(COMMAND \"$<TARGET_FILE:diffusionctl>\" completion ${shell}
                    OUTPUT_VARIABLE completion COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/${place}\"
         \"\${completion}\")")
endforeach()

# The packages that it depends on: the section [run] of the one list.
file(STRINGS deploy/packages.txt lines)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS deploy/packages.txt)
set(section "")
set(run_packages "")
foreach(line IN LISTS lines)
  if(line MATCHES "^\\[(.*)\\]$")
    set(section ${CMAKE_MATCH_1})
  elseif(section STREQUAL "run" AND line MATCHES "^[a-z0-9]")
    list(APPEND run_packages ${line})
  endif()
endforeach()
list(JOIN run_packages ", " CPACK_DEBIAN_PACKAGE_DEPENDS)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME diffusiond)
set(CPACK_PACKAGE_CONTACT "diffusiond <diffusiond@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "images from DDPM-family diffusion models, over gRPC")
set(CPACK_PACKAGE_DESCRIPTION
    "A server that batches sampling requests at every denoising step, streams previews, and serves
metrics for Prometheus; its client, and the programs that train, measure and publish models.")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
include(CPack)
